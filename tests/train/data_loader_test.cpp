#include "easel/train/data_loader.h"

#include <atomic>
#include <chrono>
#include <limits>
#include <set>
#include <stdexcept>
#include <thread>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <easel/base/error.h>

#include "tests/support/temp_dir.h"

namespace easel {
namespace {

using test::message_of;

// Example i is a picture full of i with "caption i / seed"; those in `bad` cannot be loaded.
Dataset numbers(int64_t size, std::set<int64_t> bad = {}, std::atomic<int>* loads = nullptr) {
  const auto caption = [](int64_t index, uint64_t seed) {
    return fmt::format("{} / {}", index, seed);
  };
  const auto load = [=](int64_t index, uint64_t seed) -> Example {
    if (loads != nullptr) ++*loads;
    // So that workers finish out of order.
    std::this_thread::sleep_for(std::chrono::microseconds(seed % 300));
    if (bad.contains(index)) fail("example {} is broken", index);
    return {at::full({3, 2, 2}, static_cast<double>(index), at::kFloat), caption(index, seed)};
  };
  return {.size = size, .load = load, .caption = caption, .name = [](int64_t index) {
            return fmt::format("number {}", index);
          }};
}

std::vector<Batch> draw(DataLoader& loader, int count) {
  std::vector<Batch> batches;
  for (int i = 0; i < count; ++i) batches.push_back(loader.next());
  return batches;
}

std::vector<Batch> draw(const Dataset& dataset, const LoaderOptions& options, int count) {
  DataLoader loader(dataset, options);
  return draw(loader, count);
}

void expect_same(const Batch& got, const Batch& want) {
  EXPECT_EQ(got.indices, want.indices);
  EXPECT_EQ(got.seeds, want.seeds);
  EXPECT_EQ(got.captions, want.captions);
  ASSERT_EQ(got.pictures_BCHW.defined(), want.pictures_BCHW.defined());
  if (got.pictures_BCHW.defined()) {
    EXPECT_TRUE(at::equal(got.pictures_BCHW, want.pictures_BCHW));
  }
}

void expect_same(const std::vector<Batch>& got, const std::vector<Batch>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) expect_same(got[i], want[i]);
}

TEST(DataLoader, GivesEveryExampleOnceAnEpochInAnotherOrderEach) {
  DataLoader loader(numbers(10), {.batch_size = 5, .seed = 3});
  EXPECT_EQ(loader.batches_per_epoch(), 2);
  std::set<std::vector<int64_t>> orders;
  for (int epoch = 0; epoch < 8; ++epoch) {
    std::vector<int64_t> order;
    for (const Batch& batch : draw(loader, 2)) {
      order.insert(order.end(), batch.indices.begin(), batch.indices.end());
    }
    EXPECT_EQ(std::set<int64_t>(order.begin(), order.end()).size(), 10u);
    orders.insert(order);
  }
  EXPECT_EQ(orders.size(), 8u);
  EXPECT_EQ(loader.position(), 16);
}

TEST(DataLoader, ShufflesEvenly) {
  // How often each example stands at each place in 4,000 epochs of 5: 800 expected.
  DataLoader loader(numbers(5), {.batch_size = 5, .seed = 11, .load_pictures = false});
  int counts[5][5] = {};
  for (int epoch = 0; epoch < 4000; ++epoch) {
    const Batch batch = loader.next();
    for (size_t place = 0; place < 5; ++place) ++counts[batch.indices[place]][place];
  }
  double chi_square = 0;
  for (const auto& row : counts) {
    for (const int count : row) chi_square += (count - 800.0) * (count - 800.0) / 800;
  }
  EXPECT_LT(chi_square, 39.25);  // 16 degrees of freedom, p = 0.001
}

TEST(DataLoader, PutsTheExamplesOfABatchTogether) {
  DataLoader loader(numbers(7), {.batch_size = 4, .shuffle = false, .seed = 5});
  const Batch batch = loader.next();
  EXPECT_EQ(batch.size(), 4);
  EXPECT_EQ(batch.indices, (std::vector<int64_t>{0, 1, 2, 3}));
  ASSERT_EQ(batch.pictures_BCHW.sizes(), (at::IntArrayRef{4, 3, 2, 2}));
  for (int64_t row = 0; row < 4; ++row) {
    EXPECT_EQ(batch.seeds[static_cast<size_t>(row)], mix_seed(5, static_cast<uint64_t>(row)));
    EXPECT_TRUE((batch.pictures_BCHW[row] == static_cast<double>(row)).all().item<bool>());
  }
  EXPECT_EQ(batch.captions[2], fmt::format("2 / {}", mix_seed(5, 2)));
  // Without shuffling the stream runs on over the end of the epoch.
  EXPECT_EQ(loader.next().indices, (std::vector<int64_t>{4, 5, 6, 0}));
  EXPECT_EQ(loader.next().seeds[0], mix_seed(5, 8));
}

TEST(DataLoader, GivesTheSameForAnyNumberOfWorkers) {
  const Dataset dataset = numbers(13, {2, 9});
  const LoaderOptions options{.batch_size = 3, .seed = 8};
  const auto want = draw(dataset, options, 12);
  for (const int64_t num_workers : {1, 2, 4, 7}) {
    LoaderOptions threaded = options;
    threaded.num_workers = num_workers;
    expect_same(draw(dataset, threaded, 12), want);
  }
}

TEST(DataLoader, AStreamThatStartsLaterIsTheSame) {
  const Dataset dataset = numbers(11, {4});
  const LoaderOptions options{.batch_size = 4, .num_workers = 2, .seed = 77};
  const auto unbroken = draw(dataset, options, 20);
  for (const int64_t start : {0, 1, 5, 19}) {
    DataLoader loader(dataset, options);
    loader.seek(start);
    EXPECT_EQ(loader.position(), start);
    expect_same(loader.next(), unbroken[static_cast<size_t>(start)]);
  }
  // Back and forth in one loader, with batches made ahead in between.
  DataLoader loader(dataset, options);
  for (const int64_t batch : {3, 4, 0, 12, 11, 3}) {
    loader.seek(batch);
    expect_same(loader.next(), unbroken[static_cast<size_t>(batch)]);
  }
}

TEST(DataLoader, SeeksFarAhead) {
  DataLoader loader(numbers(10), {.batch_size = 4, .seed = 1});
  loader.seek(int64_t{1} << 50);
  EXPECT_EQ(loader.next().seeds[0], mix_seed(1, uint64_t{1} << 52));
  EXPECT_THROW(loader.seek(-1), Error);
  EXPECT_THROW(loader.seek(std::numeric_limits<int64_t>::max()), Error);
  EXPECT_EQ(loader.position(), (int64_t{1} << 50) + 1);
}

TEST(DataLoader, ProcessesShareTheGlobalBatch) {
  const Dataset dataset = numbers(11, {3, 6});
  const LoaderOptions single{.batch_size = 6, .seed = 4};
  const auto want = draw(dataset, single, 9);
  for (const int64_t world : {2, 3}) {
    std::vector<std::vector<Batch>> parts;
    for (int64_t rank = 0; rank < world; ++rank) {
      parts.push_back(draw(
          dataset,
          {.batch_size = 6 / world, .num_workers = rank, .seed = 4, .rank = rank, .world = world},
          9));
    }
    for (size_t k = 0; k < want.size(); ++k) {
      Batch joined;
      std::vector<Tensor> pictures;
      for (const auto& part : parts) {
        const Batch& own = part[k];
        joined.indices.insert(joined.indices.end(), own.indices.begin(), own.indices.end());
        joined.seeds.insert(joined.seeds.end(), own.seeds.begin(), own.seeds.end());
        joined.captions.insert(joined.captions.end(), own.captions.begin(), own.captions.end());
        pictures.push_back(own.pictures_BCHW);
      }
      joined.pictures_BCHW = at::cat(pictures);
      expect_same(joined, want[k]);
    }
  }
}

TEST(DataLoader, OtherSeedsGiveOtherStreams) {
  const Dataset dataset = numbers(50);
  const auto a = draw(dataset, {.batch_size = 50, .seed = 1}, 1);
  const auto b = draw(dataset, {.batch_size = 50, .seed = 2}, 1);
  EXPECT_NE(a[0].indices, b[0].indices);
  EXPECT_NE(a[0].seeds, b[0].seeds);
}

TEST(DataLoader, ABatchMayTakeManyEpochs) {
  const Batch batch = draw(numbers(3), {.batch_size = 10, .seed = 1}, 1)[0];
  std::map<int64_t, int> counts;
  for (size_t i = 0; i < 9; ++i) ++counts[batch.indices[i]];
  EXPECT_EQ(counts, (std::map<int64_t, int>{{0, 3}, {1, 3}, {2, 3}}));
  EXPECT_EQ(draw(numbers(1), {.batch_size = 4}, 3)[2].indices, std::vector<int64_t>(4, 0));
}

TEST(DataLoader, GivesCaptionsAloneWithoutLoading) {
  std::atomic<int> loads = 0;
  const Dataset dataset = numbers(9, {}, &loads);
  const auto with = draw(dataset, {.batch_size = 4, .seed = 6}, 5);
  loads = 0;
  const auto without =
      draw(dataset, {.batch_size = 4, .num_workers = 2, .seed = 6, .load_pictures = false}, 5);
  EXPECT_EQ(loads, 0);
  for (size_t i = 0; i < with.size(); ++i) {
    EXPECT_FALSE(without[i].pictures_BCHW.defined());
    EXPECT_EQ(without[i].indices, with[i].indices);
    EXPECT_EQ(without[i].captions, with[i].captions);
  }
}

TEST(DataLoader, PutsTheNextGoodExampleInABadOnesPlace) {
  const LoaderOptions options{.batch_size = 8, .shuffle = false, .seed = 2};
  const Batch batch = draw(numbers(8, {2, 3, 7}), options, 1)[0];
  EXPECT_EQ(batch.indices, (std::vector<int64_t>{0, 1, 4, 4, 4, 5, 6, 0}));
  EXPECT_EQ(batch.seeds[2], mix_seed(2, 2));
  EXPECT_NE(batch.captions[2], batch.captions[3]);
}

TEST(DataLoader, ReportsEachBadExampleOnceAndOnTheCallersThread) {
  for (const int64_t num_workers : {0, 3}) {
    std::atomic<int> loads = 0;
    std::vector<std::string> lines;
    const std::thread::id caller = std::this_thread::get_id();
    DataLoader loader(numbers(6, {1, 4}, &loads),
                      {.batch_size = 3, .num_workers = num_workers, .seed = 2},
                      [&](LogLevel level, std::string_view line) {
                        EXPECT_EQ(level, LogLevel::Warning);
                        EXPECT_EQ(std::this_thread::get_id(), caller);
                        lines.emplace_back(line);
                      });
    draw(loader, 10);
    loader.seek(0);
    draw(loader, 10);
    ASSERT_EQ(lines.size(), 2u);
    EXPECT_NE((lines[0] + lines[1]).find("'number 4'"), std::string::npos);
    EXPECT_NE((lines[0] + lines[1]).find("example 1 is broken"), std::string::npos);
    EXPECT_EQ(loader.bad().size(), 2u);
    EXPECT_EQ(loader.bad().at(4), "example 4 is broken");
  }
}

TEST(DataLoader, LeavesOutWhatIsKnownToBeBad) {
  const LoaderOptions options{.batch_size = 4, .seed = 9};
  const auto want = draw(numbers(6, {1, 4}), options, 6);
  LoaderOptions told = options;
  told.load_pictures = false;
  told.bad = {4, 1};
  std::vector<std::string> lines;
  DataLoader loader(numbers(6), told,
                    [&](LogLevel, std::string_view line) { lines.emplace_back(line); });
  const auto got = draw(loader, 6);
  for (size_t i = 0; i < want.size(); ++i) {
    EXPECT_EQ(got[i].indices, want[i].indices);
    EXPECT_EQ(got[i].captions, want[i].captions);
  }
  EXPECT_TRUE(lines.empty());
  EXPECT_TRUE(loader.bad().empty());
}

TEST(DataLoader, FailsWhereNothingGoodIsLeft) {
  for (const int64_t num_workers : {0, 2}) {
    DataLoader loader(numbers(3, {0, 1, 2}), {.batch_size = 2, .num_workers = num_workers});
    for (int attempt = 0; attempt < 2; ++attempt) {
      const std::string message = message_of<Error>([&] { loader.next(); });
      EXPECT_NE(message.find("none of the 3 examples"), std::string::npos) << message;
      EXPECT_NE(message.find("is broken"), std::string::npos) << message;
    }
    EXPECT_EQ(loader.position(), 0);
  }
  EXPECT_THROW(draw(numbers(2), {.bad = {0, 1}}, 1), Error);
}

TEST(DataLoader, PassesOnWhatIsNoBadExample) {
  for (const int64_t num_workers : {0, 2}) {
    Dataset dataset = numbers(4);
    const auto load = dataset.load;
    dataset.load = [load](int64_t index, uint64_t seed) {
      if (index == 2) throw std::bad_alloc();
      if (index == 3) throw Error("stopped", ErrorKind::Interrupted);
      return load(index, seed);
    };
    DataLoader loader(dataset, {.batch_size = 1, .num_workers = num_workers, .shuffle = false});
    EXPECT_EQ(loader.next().indices[0], 0);
    EXPECT_EQ(loader.next().indices[0], 1);
    EXPECT_THROW(loader.next(), std::bad_alloc);
    EXPECT_THROW(loader.next(), std::bad_alloc);
    EXPECT_EQ(loader.position(), 2);
    loader.seek(3);
    EXPECT_EQ(message_of<Error>([&] { loader.next(); }), "stopped");
    loader.seek(4);
    EXPECT_EQ(loader.next().indices[0], 0);
  }
}

TEST(DataLoader, RefusesPicturesOfSeveralSizes) {
  Dataset dataset = numbers(4);
  dataset.load = [](int64_t index, uint64_t) -> Example {
    return {at::zeros({3, 2, 2 + index}), ""};
  };
  DataLoader loader(dataset, {.batch_size = 2, .num_workers = 1, .shuffle = false});
  const std::string message = message_of<Error>([&] { loader.next(); });
  for (const char* part : {"'number 0'", "[3, 2, 2]", "'number 1'", "[3, 2, 3]", "size"}) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  }
}

TEST(DataLoader, EndsInTheMiddleOfABatch) {
  Dataset dataset = numbers(100000);
  dataset.load = [](int64_t index, uint64_t) -> Example {
    if (index >= 500) std::this_thread::sleep_for(std::chrono::milliseconds(4));
    return {at::zeros({3, 1, 1}), ""};
  };
  std::chrono::steady_clock::time_point start;
  {
    DataLoader loader(dataset, {.batch_size = 500, .num_workers = 4, .shuffle = false});
    loader.next();
    start = std::chrono::steady_clock::now();
  }
  // The batches being made would take two seconds.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(1000));
}

TEST(DataLoader, MakesOnlySoMuchAhead) {
  std::atomic<int> loads = 0;
  DataLoader loader(numbers(100, {}, &loads), {.batch_size = 1, .num_workers = 2});
  loader.next();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_LE(loads, 1 + 4);
}

TEST(DataLoader, RefusesOptionsOutOfRange) {
  const Dataset dataset = numbers(4);
  const auto refused = [&](const LoaderOptions& options) {
    return message_of<Error>([&] { DataLoader(dataset, options); });
  };
  EXPECT_NE(refused({.batch_size = 0}).find("batch_size"), std::string::npos);
  EXPECT_NE(refused({.num_workers = -1}).find("num_workers"), std::string::npos);
  EXPECT_NE(refused({.rank = 1}).find("rank"), std::string::npos);
  EXPECT_NE(refused({.rank = -1, .world = 2}).find("rank"), std::string::npos);
  EXPECT_NE(refused({.world = 0}).find("world"), std::string::npos);
  EXPECT_NE(refused({.bad = {4}}), "");
  EXPECT_THROW(DataLoader(numbers(0), {}), Error);
}

TEST(ForEachBatch, GivesEverythingOnceWithAPartialLastBatch) {
  for (const int64_t num_workers : {0, 3}) {
    std::vector<Batch> batches;
    const int64_t bad = for_each_batch(
        numbers(10), {.batch_size = 4, .num_workers = num_workers, .seed = 3}, [&](Batch&& batch) {
          batches.push_back(std::move(batch));
          return true;
        });
    EXPECT_EQ(bad, 0);
    ASSERT_EQ(batches.size(), 3u);
    EXPECT_EQ(batches[1].indices, (std::vector<int64_t>{4, 5, 6, 7}));
    EXPECT_EQ(batches[2].indices, (std::vector<int64_t>{8, 9}));
    EXPECT_EQ(batches[2].seeds[1], mix_seed(3, 9));
    EXPECT_EQ(batches[2].pictures_BCHW.size(0), 2);
    EXPECT_TRUE(batches[2].pictures_BCHW.is_contiguous());
  }
}

TEST(ForEachBatch, ProcessesShareTheExamples) {
  std::multiset<int64_t> seen;
  for (int64_t rank = 0; rank < 3; ++rank) {
    for_each_batch(numbers(10), {.batch_size = 2, .rank = rank, .world = 3}, [&](Batch&& batch) {
      seen.insert(batch.indices.begin(), batch.indices.end());
      return true;
    });
  }
  EXPECT_EQ(seen, (std::multiset<int64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

TEST(ForEachBatch, LeavesOutBadExamplesAndCountsThem) {
  std::vector<int64_t> seen;
  int lines = 0;
  const int64_t bad = for_each_batch(
      numbers(7, {0, 2, 3}), {.batch_size = 2, .num_workers = 2},
      [&](Batch&& batch) {
        seen.insert(seen.end(), batch.indices.begin(), batch.indices.end());
        return true;
      },
      [&](LogLevel, std::string_view) { ++lines; });
  EXPECT_EQ(bad, 3);
  EXPECT_EQ(lines, 3);
  EXPECT_EQ(seen, (std::vector<int64_t>{1, 4, 5, 6}));
  EXPECT_THROW(for_each_batch(numbers(2, {0, 1}), {}, [](Batch&&) { return true; }), Error);
}

TEST(ForEachBatch, StopsWhenAskedTo) {
  int batches = 0;
  for_each_batch(numbers(100), {.batch_size = 2, .num_workers = 2},
                 [&](Batch&&) { return ++batches < 3; });
  EXPECT_EQ(batches, 3);
}

}  // namespace
}  // namespace easel
