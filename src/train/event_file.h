// TensorBoard's event files: records of TFRecord, each a protobuf message tensorflow.Event
// (tensorboard/compat/proto/event.proto and summary.proto), encoded by hand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <easel/train/metrics.h>

namespace easel {

// CRC-32C (Castagnoli).
uint32_t crc32c(std::string_view bytes);

// Length, masked CRC of the length, data, masked CRC of the data.
std::string tf_record(std::string_view data);

// The Event messages. Fields stand in the order of their numbers, zeros left out, as protobuf
// writes them.
std::string version_event(double wall_time, int64_t step);
std::string session_start_event(double wall_time, int64_t step);
std::string scalars_event(double wall_time, int64_t step, std::span<const Metric> metrics);

struct EncodedImage {
  int height, width, channels;
  std::span<const std::byte> png;
};
std::string image_event(double wall_time, int64_t step, std::string_view name,
                        const EncodedImage& image);

}  // namespace easel
