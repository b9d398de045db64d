#include "easel/hub/cache.h"

#include <gtest/gtest.h>

#include <easel/base/error.h>

#include "src/hub/digest.h"
#include "src/hub/http.h"
#include "tests/support/temp_dir.h"

namespace easel {
namespace {

namespace fs = std::filesystem;
using test::message_of;
using test::TempDir;

const std::string kCommit = "0123456789abcdef0123456789abcdef01234567";

// A cache with one whole model, laid out as huggingface_hub does.
class HubCache : public ::testing::Test {
 protected:
  HubCache() {
    for (const char* folder : {"refs/refs/pr", "blobs"}) {
      fs::create_directories(cache_ / "models--a--b" / folder);
    }
    cache_.write("models--a--b/refs/main", kCommit);
    cache_.write("models--a--b/refs/refs/pr/1", kCommit + "\n");
    put("model_index.json", R"({"unet": ["diffusers", "UNet2DConditionModel"]})");
    put("unet/config.json", "{}");
    put("unet/diffusion_pytorch_model.safetensors", "x");
  }
  void put(const std::string& name, const std::string& bytes) {
    const std::string blob = fmt::format("{}", std::hash<std::string>()(name));
    cache_.write("models--a--b/blobs/" + blob, bytes);
    fs::create_directories((snapshot_ / name).parent_path());
    const fs::path blobs = name.find('/') == std::string::npos ? "../../blobs" : "../../../blobs";
    fs::create_symlink(blobs / blob, snapshot_ / name);
  }
  std::optional<fs::path> find(std::string_view name) {
    return find_in_cache(cache_.path(), *parse_hub_model(name));
  }

  TempDir cache_;
  const fs::path snapshot_ = cache_ / "models--a--b" / "snapshots" / kCommit;
};

TEST_F(HubCache, FindsBranchesRequestsAndCommits) {
  EXPECT_EQ(find("a/b"), snapshot_);
  EXPECT_EQ(find("a/b@refs/pr/1"), snapshot_);
  EXPECT_EQ(find("a/b@" + kCommit), snapshot_);
  EXPECT_EQ(find("a/b/unet/config.json"), snapshot_ / "unet/config.json");
  EXPECT_EQ(find("a/b@other"), std::nullopt);
  EXPECT_EQ(find("a/c"), std::nullopt);
  EXPECT_EQ(find("a/b/other.ckpt"), std::nullopt);
}

TEST_F(HubCache, SaysWhatIsMissingOfAModelInPart) {
  const fs::path weights = snapshot_ / "unet/diffusion_pytorch_model.safetensors";
  fs::remove(fs::canonical(weights));  // the link now leads nowhere
  const std::string message = message_of<Error>([&] { find("a/b@refs/pr/1"); });
  EXPECT_NE(message.find("unet has no whole set of weights"), std::string::npos) << message;
  EXPECT_NE(message.find("easel-checkpoint fetch a/b --revision refs/pr/1"), std::string::npos)
      << message;
  put("unet/diffusion_pytorch_model.fp16.safetensors", "x");
  EXPECT_EQ(find("a/b"), snapshot_);
}

TEST_F(HubCache, RefusesADamagedRef) {
  cache_.write("models--a--b/refs/main", "../../../../etc");
  EXPECT_NE(message_of<Error>([&] { find("a/b"); }).find("40 hexadecimal digits"),
            std::string::npos);
}

TEST_F(HubCache, ListsItsRepositories) {
  fs::create_directories(cache_ / "models--Big--other");
  fs::create_directories(cache_ / "models--noowner");
  fs::create_directories(cache_ / "datasets--a--d");
  EXPECT_EQ(repos_in_cache(cache_.path()), (std::vector<std::string>{"Big/other", "a/b"}));
  EXPECT_TRUE(repos_in_cache(cache_ / "nowhere").empty());
}

TEST(HubDigest, IsWhatGitAndShaSumSay) {
  const TempDir folder;
  const fs::path file = folder.write("x", "what is up, doc?");
  // Pro Git, chapter 10.2; sha256sum.
  EXPECT_EQ(hash_of_file(file, std::string(40, '0'), {}),
            "bd9dbf5aae1a3862dd1526723246b20206e5fc37");
  EXPECT_EQ(hash_of_file(folder.write("empty", ""), std::string(64, '0'), {}),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_FALSE(is_file_hash("../../../../../../../../../../../../etc/xy"));
  EXPECT_FALSE(is_file_hash(std::string(63, 'a')));
}

TEST(HubHttp, TellsOriginsApart) {
  EXPECT_TRUE(is_same_origin("https://a.b/x", "https://A.b:443/y?z"));
  for (const char* other : {"http://a.b/x", "https://a.b:444/x", "https://a.b.c/x",
                            "https://a.b@evil/x", "https://evil/https://a.b", "nonsense", ""}) {
    EXPECT_FALSE(is_same_origin("https://a.b/x", other)) << other;
  }
}

TEST(HubHttp, QuotesAddresses) {
  EXPECT_EQ(url_quote("refs/pr/1", false), "refs%2Fpr%2F1");
  EXPECT_EQ(url_quote("a b/c?d#%\xc3\xa9.~_-", true), "a%20b/c%3Fd%23%25%C3%A9.~_-");
}

}  // namespace
}  // namespace easel
