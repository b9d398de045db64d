#include "event_file.h"

#include <array>
#include <bit>
#include <cstring>

namespace easel {
namespace {

constexpr std::array<uint32_t, 256> crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78U : 0U);
    table[i] = crc;
  }
  return table;
}

constexpr std::array<uint32_t, 256> kCrcTable = crc_table();

template <class Number>
std::string little_endian(Number value) {
  static_assert(std::endian::native == std::endian::little);
  std::string bytes(sizeof(Number), '\0');
  std::memcpy(bytes.data(), &value, sizeof(Number));
  return bytes;
}

// TFRecord stores CRCs turned and shifted, so that a CRC over data with CRCs in it stays useful.
std::string masked_crc(std::string_view bytes) {
  return little_endian<uint32_t>(std::rotr(crc32c(bytes), 15) + 0xA282EAD8U);
}

// A protobuf message that grows field by field.
class Message {
 public:
  Message& varint(int field, int64_t value) {
    if (value == 0) return *this;
    key(field, 0);
    base_128(static_cast<uint64_t>(value));
    return *this;
  }
  Message& number(int field, double value) {
    if (value == 0) return *this;
    key(field, 1);
    bytes_ += little_endian(value);
    return *this;
  }
  // A member of a oneof: written even when it is 0.
  Message& single(int field, float value) {
    key(field, 5);
    bytes_ += little_endian(value);
    return *this;
  }
  Message& text(int field, std::string_view value) {
    key(field, 2);
    base_128(value.size());
    bytes_ += value;
    return *this;
  }
  Message& message(int field, const Message& value) { return text(field, value.bytes_); }
  std::string take() { return std::move(bytes_); }

 private:
  void key(int field, uint64_t wire_type) {
    base_128(static_cast<uint64_t>(field) << 3 | wire_type);
  }
  void base_128(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }

  std::string bytes_;
};

// Field numbers of tensorflow.Event.
enum EventField { kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5, kSessionLog = 7 };

Message event(double wall_time, int64_t step) {
  return Message().number(kWallTime, wall_time).varint(kStep, step);
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  uint32_t crc = ~uint32_t{0};
  for (const char byte : bytes) {
    crc = (crc >> 8) ^ kCrcTable[(crc ^ static_cast<unsigned char>(byte)) & 0xFF];
  }
  return ~crc;
}

std::string tf_record(std::string_view data) {
  const std::string length = little_endian<uint64_t>(data.size());
  std::string record = length + masked_crc(length);
  record += data;
  record += masked_crc(data);
  return record;
}

std::string version_event(double wall_time, int64_t step) {
  return event(wall_time, step).text(kFileVersion, "brain.Event:2").take();
}

std::string session_start_event(double wall_time, int64_t step) {
  constexpr int64_t kStart = 1;
  return event(wall_time, step).message(kSessionLog, Message().varint(1, kStart)).take();
}

std::string scalars_event(double wall_time, int64_t step, std::span<const Metric> metrics) {
  Message summary;
  for (const Metric& metric : metrics) {
    summary.message(1, Message().text(1, metric.name).single(2, static_cast<float>(metric.value)));
  }
  return event(wall_time, step).message(kSummary, summary).take();
}

std::string image_event(double wall_time, int64_t step, std::string_view name,
                        const EncodedImage& image) {
  Message picture;
  picture.varint(1, image.height).varint(2, image.width).varint(3, image.channels);
  picture.text(4, {reinterpret_cast<const char*>(image.png.data()), image.png.size()});
  const Message value = Message().text(1, name).message(4, picture);
  return event(wall_time, step).message(kSummary, Message().message(1, value)).take();
}

}  // namespace easel
