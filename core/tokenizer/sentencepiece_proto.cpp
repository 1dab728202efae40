#include "core/tokenizer/sentencepiece_proto.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <unordered_set>

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/tokenizer/character_map.h"
#include "core/tokenizer/decoder.h"
#include "core/tokenizer/unicode.h"

namespace qlora::tokenizer {
namespace {

// One message of the wire format; every length is checked against what is left.
class Message {
  public:
    Message(std::string_view bytes, const std::string& where) : bytes_(bytes), where_(where) {}

    // The next field, or false at the end.
    bool next() {
        if (at_ == bytes_.size()) return false;
        std::uint64_t tag = varint();
        number = tag >> 3;
        kind_ = static_cast<int>(tag & 7);
        if (number == 0 || number >= (1u << 29)) refuse("a field number of " + std::to_string(number));
        switch (kind_) {
            case 0: value_ = varint(); break;
            case 1: text_ = take(8); break;
            case 2: text_ = take(varint()); break;
            case 5: text_ = take(4); break;
            default: refuse("a field of wire type " + std::to_string(kind_));
        }
        return true;
    }

    std::uint64_t number = 0;

    std::uint64_t integer() const { return expect(0, "a number"), value_; }
    std::string_view text() const { return expect(2, "text"), text_; }
    float real() const {
        expect(5, "a 32-bit number");
        float value;
        std::memcpy(&value, text_.data(), sizeof value);
        return value;
    }

  private:
    [[noreturn]] void refuse(const std::string& got) const {
        throw input_error("sentencepiece.format", where_, "not a sentencepiece model: got " + got + " at byte " +
                                                              std::to_string(at_) + " of a message");
    }
    void expect(int kind, const char* what) const {
        if (kind_ != kind)
            refuse("wire type " + std::to_string(kind_) + " for field " + std::to_string(number) + ", which is " + what);
    }
    std::uint64_t varint() {
        std::uint64_t value = 0;
        for (int shift = 0; shift < 64; shift += 7) {
            if (at_ == bytes_.size()) refuse("the end of the data in the middle of a number");
            auto byte = static_cast<unsigned char>(bytes_[at_++]);
            value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
            if (byte < 0x80) return value;
        }
        refuse("a number of more than ten bytes");
    }
    std::string_view take(std::uint64_t length) {
        if (length > bytes_.size() - at_) refuse("a field of " + std::to_string(length) + " bytes, more than are left");
        at_ += length;
        return bytes_.substr(at_ - length, length);
    }

    std::string_view bytes_;
    const std::string& where_;
    std::size_t at_ = 0;
    int kind_ = 0;
    std::uint64_t value_ = 0;
    std::string_view text_;
};

class Reader {
  public:
    explicit Reader(const std::string& where) : where_(where) {}

    SentencePieceProto read(std::string_view file) {
        // The library counts in int.
        if (file.size() > (std::size_t{1} << 30)) refuse("format", "expected at most 1 GiB");
        Message model(file, where_);
        while (model.next()) {
            if (model.number == 1) piece(model.text());
            if (model.number == 2) trainer(model.text());
            if (model.number == 3) normalizer(model.text());
            if (model.number == 5) denormalizer(model.text());
        }
        if (out_.pieces.empty()) refuse("format", "not a sentencepiece model: it holds no pieces");
        check_pieces();
        if (out_.model_type != 1 && out_.model_type != 2)
            throw input_error("tokenizer.unsupported", where_, "expected a unigram or BPE sentencepiece model, got type " +
                                                                   std::to_string(out_.model_type));
        if (out_.has_denormalizer)
            throw input_error("tokenizer.unsupported", where_, "a sentencepiece model with a denormalizer");
        if (!out_.charsmap.empty()) check_charsmap(out_.charsmap, where_);
        return std::move(out_);
    }

  private:
    [[noreturn]] void refuse(const char* code, const std::string& message) const {
        throw input_error(std::string("sentencepiece.") + code, where_, message);
    }

    void piece(std::string_view bytes) {
        if (out_.pieces.size() >= SentencePieceProto::most_pieces) refuse("piece", "too many pieces");
        SentencePieceProto::Piece piece;
        Message message(bytes, where_);
        while (message.next()) {
            if (message.number == 1) piece.text = message.text();
            if (message.number == 2) piece.score = message.real();
            if (message.number == 3) {
                auto type = message.integer();
                if (type < 1 || type > 6) refuse("piece", name() + ": expected a type from 1 to 6, got " + std::to_string(type));
                piece.type = static_cast<SentencePieceProto::Type>(type);
            }
        }
        if (piece.text.empty()) refuse("piece", name() + " is empty");
        if (piece.text.size() > SentencePieceProto::longest_piece)
            refuse("piece", name() + ": expected at most " + std::to_string(SentencePieceProto::longest_piece) +
                                " bytes, got " + std::to_string(piece.text.size()));
        if (piece.text.find('\0') != std::string::npos) refuse("piece", name() + " holds a NUL byte");
        if (!is_utf8(piece.text)) refuse("piece", name() + " is not valid UTF-8");
        if (!std::isfinite(piece.score)) refuse("piece", name() + ": expected a finite score");
        out_.pieces.push_back(std::move(piece));
    }

    std::string name() const { return "piece " + std::to_string(out_.pieces.size()); }

    void trainer(std::string_view bytes) {
        Message message(bytes, where_);
        while (message.next()) {
            if (message.number == 3) out_.model_type = static_cast<int>(std::min<std::uint64_t>(message.integer(), 1000));
            if (message.number == 24) out_.treat_whitespace_as_suffix = message.integer() != 0;
            if (message.number == 35) out_.byte_fallback = message.integer() != 0;
            if (message.number == 44) out_.unk_surface = replace_invalid_utf8(message.text());
        }
        // The library hands it on as a C string.
        out_.unk_surface.resize(std::strlen(out_.unk_surface.c_str()));
    }

    void normalizer(std::string_view bytes) {
        Message message(bytes, where_);
        while (message.next()) {
            if (message.number == 2) out_.charsmap = message.text();
            if (message.number == 3) out_.add_dummy_prefix = message.integer() != 0;
            if (message.number == 4) out_.remove_extra_whitespaces = message.integer() != 0;
        }
    }

    void denormalizer(std::string_view bytes) {
        Message message(bytes, where_);
        while (message.next())
            if (message.number == 2 && !message.text().empty()) out_.has_denormalizer = true;
    }

    void check_pieces() {
        std::unordered_set<std::string_view> normal, reserved;
        std::vector<std::string_view> user_defined;
        std::vector<bool> bytes(256, false);
        for (std::size_t i = 0; i < out_.pieces.size(); ++i) {
            const auto& piece = out_.pieces[i];
            bool in_text = piece.type == Type::normal || piece.type == Type::user_defined || piece.type == Type::unused;
            std::string named = "piece " + std::to_string(i) + " (" + describe(Json(piece.text)) + ")";
            if (!(in_text ? normal : reserved).insert(piece.text).second) refuse("piece", named + " is there twice");
            if (piece.type == Type::user_defined) user_defined.push_back(piece.text);
            if (piece.type == Type::unknown && out_.unk >= 0) refuse("piece", named + " is a second unknown piece");
            if (piece.type == Type::unknown) out_.unk = static_cast<int>(i);
            if (piece.type != Type::byte) continue;
            int byte = byte_token(piece.text);
            if (byte < 0) refuse("piece", named + ": expected a byte token from <0x00> to <0xFF>");
            if (!out_.byte_fallback) refuse("piece", named + " is a byte token, but the model has no byte fallback");
            bytes[byte] = true;
        }
        if (out_.unk < 0) refuse("piece", "expected one piece of type unknown, found none");
        if (out_.byte_fallback && std::find(bytes.begin(), bytes.end(), false) != bytes.end())
            refuse("piece", "expected all 256 byte tokens for the byte fallback");
        check_nesting(user_defined);
    }

    // The library's prefix matcher has room for 64 symbols that begin with one another.
    void check_nesting(std::vector<std::string_view>& symbols) const {
        std::sort(symbols.begin(), symbols.end());
        std::vector<std::string_view> chain;
        for (auto symbol : symbols) {
            while (!chain.empty() && !symbol.starts_with(chain.back())) chain.pop_back();
            chain.push_back(symbol);
            if (chain.size() > 64) refuse("piece", "more than 64 user-defined symbols begin with one another");
        }
    }

    using Type = SentencePieceProto::Type;
    const std::string& where_;
    SentencePieceProto out_;
};

}  // namespace

SentencePieceProto read_sentencepiece_proto(std::string_view file, const std::string& where) {
    return Reader(where).read(file);
}

const SentencePieceProto::Piece* SentencePieceProto::first_of(Type type, std::string_view text) const {
    for (const Piece& piece : pieces)
        if (piece.type == type && piece.text == text) return &piece;
    return nullptr;
}

}  // namespace qlora::tokenizer
