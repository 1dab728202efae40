#pragma once
// A stretch of text on its way through the pipeline, with the way back to the input.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace qlora::tokenizer {

// Valid UTF-8. Byte i of the text comes from byte offset(i) of the input: base + i while nothing was rewritten, else
// origin[i]. Views only; the owner of the text and of the origins outlives the piece.
struct Piece {
    std::string_view text;
    std::uint32_t base = 0;
    const std::uint32_t* origin = nullptr;

    std::uint32_t offset(std::size_t byte) const {
        return origin ? origin[byte] : base + static_cast<std::uint32_t>(byte);
    }
    Piece part(std::size_t from, std::size_t length) const {
        return {text.substr(from, length), base + static_cast<std::uint32_t>(from), origin ? origin + from : nullptr};
    }
};

// A rewritten piece: one origin a byte.
struct Rewritten {
    std::string text;
    std::vector<std::uint32_t> origin;

    void append(std::string_view bytes, std::uint32_t from) {
        text += bytes;
        origin.insert(origin.end(), bytes.size(), from);
    }
    void append(const Piece& piece) {
        text += piece.text;
        for (std::size_t i = 0; i < piece.text.size(); ++i) origin.push_back(piece.offset(i));
    }
    Piece piece() const { return {text, 0, origin.data()}; }
};

using PieceSink = std::function<void(const Piece&)>;

}  // namespace qlora::tokenizer
