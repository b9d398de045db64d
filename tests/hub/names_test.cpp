#include "easel/hub/names.h"

#include <gtest/gtest.h>

namespace easel {
namespace {

using namespace std::string_literals;

TEST(HubNames, RepositoriesHaveAnOwnerAndPlainLetters) {
  for (const char* good : {"CompVis/stable-diffusion-v1-4", "a/b", "_x/y.z_0-1"}) {
    EXPECT_TRUE(is_repo_name(good)) << good;
  }
  for (const std::string& bad : {""s, "gpt2"s, "/b"s, "a/"s, "a/b/c"s, "a/../b"s, "../b"s, "a/.."s,
                                 "a/.b"s, "-a/b"s, "a/b--c"s, "a/b c"s, "a/b\n"s, "a/b\0"s,
                                 "a/b%2f"s, "a/b?x"s, "a/" + std::string(97, 'b')}) {
    EXPECT_FALSE(is_repo_name(bad)) << bad;
  }
}

TEST(HubNames, FilesStayInTheirFolder) {
  for (const char* good :
       {"a", "unet/config.json", "a b/c (1).ckpt", "\xe5\xa4\xa7.txt", "..a", "a.."}) {
    EXPECT_TRUE(is_repo_file(good)) << good;
  }
  for (const std::string& bad :
       {""s, "/a"s, "a/"s, "a//b"s, "."s, ".."s, "../a"s, "a/../../b"s, "a/./b"s, "a\\..\\b"s,
        "a\nb"s, "a\0b"s, "a\x7f"s, "\xff"s, std::string(256, 'a'), "C:\\a"s}) {
    EXPECT_FALSE(is_repo_file(bad)) << bad;
  }
}

TEST(HubNames, Revisions) {
  for (const char* good : {"main", "refs/pr/1", "v1.0+x"}) EXPECT_TRUE(is_revision(good)) << good;
  for (const char* bad : {"", "..", "a/../b", "/etc", "a b", "a?b", "a%b", "a@b"}) {
    EXPECT_FALSE(is_revision(bad)) << bad;
  }
}

TEST(HubNames, ModelsAreWrittenAsTheyAreRead) {
  for (const char* text : {"a/b", "a/b@fp16", "a/b/c/d.ckpt", "a/b/c.ckpt@refs/pr/1"}) {
    const auto model = parse_hub_model(text);
    ASSERT_TRUE(model) << text;
    EXPECT_EQ(hub_model_text(*model), text);
  }
  EXPECT_EQ(parse_hub_model("a/b/c.ckpt@x")->repo, "a/b");
  EXPECT_EQ(parse_hub_model("a/b/c.ckpt@x")->file, "c.ckpt");
  EXPECT_EQ(parse_hub_model("a/b/c.ckpt@x")->revision, "x");
  EXPECT_EQ(fetch_words(*parse_hub_model("a/b/c.ckpt@x")), "a/b c.ckpt --revision x");
  for (const char* text : {"", "a", "./a", "../a", "/a/b", "a/b/", "a/b/../c", "a/b@", "a/b@.."}) {
    EXPECT_FALSE(parse_hub_model(text)) << text;
  }
}

}  // namespace
}  // namespace easel
