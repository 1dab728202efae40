#include "core/formats/byte_reader.h"

#include "core/base/error.h"
#include "core/formats/names.h"

namespace qlora::formats {

ByteReader::ByteReader(std::span<const std::byte> bytes, std::string code, std::string where)
    : bytes_(bytes), code_(std::move(code)), where_(std::move(where)) {}

std::string ByteReader::what() const {
    return what_ + (name_.empty() ? "" : " " + in_quotes(name_));
}

std::span<const std::byte> ByteReader::take(std::uint64_t count) {
    if (count > left())
        throw input_error(code_, where_,
                          what() + ", at byte " + std::to_string(position_) + ": expected " +
                              std::to_string(count) + " more bytes, got " + std::to_string(left()) +
                              " before the end",
                          "The file is cut short or damaged: fetch it again.");
    auto taken = bytes_.subspan(position_, static_cast<std::size_t>(count));
    position_ += taken.size();
    return taken;
}

std::string_view ByteReader::text() {
    auto taken = take(number<std::uint64_t>());
    return {reinterpret_cast<const char*>(taken.data()), taken.size()};
}

}  // namespace qlora::formats
