#pragma once
// What a sentencepiece model file says (sentencepiece_model.proto, protobuf wire format), read and checked by our own
// code before the library sees it: version 0.2.1 of it overflows its stack on very long pieces and reads out of
// bounds on crafted tries.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace qlora::tokenizer {

struct SentencePieceProto {
    enum class Type : std::uint8_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };
    struct Piece {
        std::string text;
        float score = 0;
        Type type = Type::normal;
    };
    static constexpr std::size_t longest_piece = 4096;  // bytes
    static constexpr std::size_t most_pieces = 1 << 24;

    std::vector<Piece> pieces;
    int model_type = 1;  // 1 unigram, 2 BPE
    bool byte_fallback = false, treat_whitespace_as_suffix = false;
    std::string unk_surface = " \xE2\x81\x87 ";
    bool add_dummy_prefix = true, remove_extra_whitespaces = true;
    std::string charsmap;
    bool has_denormalizer = false;
    int unk = -1;  // index of the unknown piece

    const Piece* first_of(Type type, std::string_view text) const;
};

// Throws input_error: "sentencepiece.format" (no such file), "sentencepiece.piece" (empty, too long, NUL, not UTF-8,
// twice, bad byte token, no or two unknown pieces), "sentencepiece.charsmap", "tokenizer.unsupported".
SentencePieceProto read_sentencepiece_proto(std::string_view file, const std::string& where);

}  // namespace qlora::tokenizer
