#pragma once
// Reads little-endian numbers and texts front to back out of bytes that may end anywhere. Internal to
// core/formats.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace qlora::formats {

static_assert(std::endian::native == std::endian::little, "the files' byte order is the machine's");

// Borrows `bytes`. Each byte is read once, so that a file that changes under its mapping cannot pass one
// check and then be another. Past the end: input_error(`code`, `where`) naming the byte and what was being
// read.
class ByteReader {
  public:
    ByteReader(std::span<const std::byte> bytes, std::string code, std::string where);

    // For messages: "the key", "general.name". The name must outlive the reads it is for.
    void now_reading(const char* what, std::string_view name = {}) { what_ = what, name_ = name; }
    std::string what() const;

    std::size_t position() const { return position_; }
    std::size_t left() const { return bytes_.size() - position_; }

    template <typename T>
    requires std::is_arithmetic_v<T> T number() {
        T value;
        std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
        return value;
    }
    std::span<const std::byte> take(std::uint64_t count);
    std::string_view text();  // 64 bits of length, then as many bytes

  private:
    std::span<const std::byte> bytes_;
    std::size_t position_ = 0;
    std::string code_, where_;
    const char* what_ = "the header";
    std::string_view name_;
};

}  // namespace qlora::formats
