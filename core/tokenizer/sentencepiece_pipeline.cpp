#include "core/tokenizer/sentencepiece_pipeline.h"

#include <sentencepiece_processor.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/tokenizer/sentencepiece_proto.h"
#include "core/tokenizer/unicode.h"

namespace qlora::tokenizer {
namespace {

constexpr std::string_view space_mark = "\xE2\x96\x81";
// The library takes some 60 bytes of memory a byte of text.
constexpr std::size_t text_limit = std::size_t{64} << 20;

class SentencePieceModel : public Model {
  public:
    SentencePieceModel(const std::string& file, const SentencePieceProto& proto, const std::string& where)
        : unigram_(proto.model_type == 1), unk_(proto.unk), where_(where) {
        for (std::size_t i = 0; i < proto.pieces.size(); ++i)
            vocabulary_.add(proto.pieces[i].text, static_cast<std::int32_t>(i));
        sentencepiece::SetMinLogLevel(2);  // its messages come back in the status, too
        auto status = processor_.LoadFromSerializedProto(file);
        if (!status.ok())
            throw input_error("sentencepiece.format", where, "sentencepiece refuses the model: " + status.ToString());
    }

    std::unique_ptr<Session> session(bool literal) const override;
    const Vocabulary& vocabulary() const override { return vocabulary_; }
    std::string kind() const override { return unigram_ ? "sentencepiece unigram" : "sentencepiece BPE"; }
    void set_special(const std::vector<std::int32_t>& ids) override {
        special_.assign(vocabulary_.size(), false);
        for (auto id : ids)
            if (id >= 0 && id < vocabulary_.size() && id != unk_) special_[id] = true;
    }

    void encode(std::string_view piece, bool literal, Tokens& out) const {
        if (piece.size() > text_limit)
            throw input_error("tokenizer.text_size", where_,
                              "expected at most " + std::to_string(text_limit >> 20) + " MiB of text at once, got " +
                                  std::to_string(piece.size() >> 20) + " MiB",
                              "Cut the text into rows.");
        sentencepiece::ImmutableSentencePieceText tokens;
        auto status = processor_.Encode(piece, tokens.mutable_proto());
        if (!status.ok()) throw failure("tokenizer.sentencepiece", where_, status.ToString());
        for (const auto& token : tokens.pieces()) {
            auto id = static_cast<std::int32_t>(token.id());
            if (literal && special_[id])
                spell(id, token.begin(), out);
            else
                out.add(id, token.begin());
        }
    }

  private:
    // The library finds user-defined symbols everywhere; one that is special comes out character by character.
    void spell(std::int32_t id, std::uint32_t begin, Tokens& out) const {
        const std::string& text = vocabulary_.token(id);
        for (std::size_t at = 0; at < text.size();) {
            std::size_t start = at;
            next_character(text, at);
            auto character = vocabulary_.find(std::string_view(text).substr(start, at - start));
            out.add(character && !special_[*character] ? *character : unk_, begin);
        }
    }

    sentencepiece::SentencePieceProcessor processor_;
    Vocabulary vocabulary_;
    bool unigram_;
    std::int32_t unk_;
    std::string where_;
    std::vector<bool> special_;
};

class SentencePieceSession : public Model::Session {
  public:
    SentencePieceSession(const SentencePieceModel& model, bool literal) : model_(model), literal_(literal) {}
    void encode(std::string_view piece, Tokens& out) override { model_.encode(piece, literal_, out); }

  private:
    const SentencePieceModel& model_;
    bool literal_;
};

std::unique_ptr<Model::Session> SentencePieceModel::session(bool literal) const {
    return std::make_unique<SentencePieceSession>(*this, literal);
}

// What SentencePieceProcessor::Decode does, token by token.
class SentencePieceStage : public DecodeStage {
  public:
    explicit SentencePieceStage(std::shared_ptr<const SentencePieceProto> proto,
                                std::shared_ptr<const TextMap<SentencePieceProto::Type>> types)
        : proto_(std::move(proto)), types_(std::move(types)) {}

    void push(std::string_view text, bool, const FragmentSink& out) override {
        using Type = SentencePieceProto::Type;
        auto found = types_->find(text);
        Type type = found == types_->end() ? Type::user_defined : found->second;
        if (type == Type::byte) {
            bytes_ += static_cast<char>(byte_token(text));
            return;
        }
        flush(out);
        if (mark_taken_ || wrote_) at_start_ = false;
        mark_taken_ = false;
        if (type == Type::control) return;
        if (type == Type::unknown) return write(proto_->unk_surface, out);
        if (at_start_ && (proto_->add_dummy_prefix || proto_->remove_extra_whitespaces) && text.starts_with(space_mark)) {
            text.remove_prefix(space_mark.size());
            mark_taken_ = !proto_->remove_extra_whitespaces;
        }
        std::string spaced;
        for (std::size_t at = 0; at < text.size();) {
            bool mark = text.substr(at).starts_with(space_mark);
            spaced += mark ? ' ' : text[at];
            at += mark ? space_mark.size() : 1;
        }
        write(spaced, out);
    }

    void finish(const FragmentSink& out) override {
        flush(out);
        out("", true);
    }

  private:
    void flush(const FragmentSink& out) {
        if (bytes_.empty()) return;
        std::string text;
        for (std::size_t at = 0; at < bytes_.size();) {
            auto character = utf8_at(bytes_, at);
            std::size_t length = character.valid ? character.length : 1;  // one U+FFFD for each byte out of place
            text += character.valid ? std::string_view(bytes_).substr(at, length) : replacement_character;
            at += length;
        }
        bytes_.clear();
        write(text, out);
    }

    void write(std::string_view text, const FragmentSink& out) {
        wrote_ |= !text.empty();
        if (!text.empty()) out(text, false);
    }

    std::shared_ptr<const SentencePieceProto> proto_;
    std::shared_ptr<const TextMap<SentencePieceProto::Type>> types_;
    std::string bytes_;
    bool at_start_ = true, mark_taken_ = false, wrote_ = false;
};

bool flag(const Json& config, const char* key, bool fallback) {
    auto found = config.find(key);
    return found == config.end() || !found->is_boolean() ? fallback : found->get<bool>();
}

}  // namespace

std::unique_ptr<Pipeline> read_sentencepiece(const std::string& file, const std::string& where, Json& config) {
    auto proto = std::make_shared<SentencePieceProto>(read_sentencepiece_proto(file, where));
    auto pipeline = std::make_unique<Pipeline>();
    pipeline->where = where;
    pipeline->model = std::make_unique<SentencePieceModel>(file, *proto, where);

    auto types = std::make_shared<TextMap<SentencePieceProto::Type>>();
    for (const auto& piece : proto->pieces) {
        // A piece of the text and a reserved one may be spelled alike; the reserved one has the id.
        bool reserved = piece.type != SentencePieceProto::Type::normal &&
                        piece.type != SentencePieceProto::Type::user_defined &&
                        piece.type != SentencePieceProto::Type::unused;
        if (reserved || !types->contains(piece.text)) types->insert_or_assign(piece.text, piece.type);
    }
    proto->charsmap.clear();
    pipeline->decoder = {[proto = std::shared_ptr<const SentencePieceProto>(proto),
                          types = std::shared_ptr<const TextMap<SentencePieceProto::Type>>(types)] {
        return std::make_unique<SentencePieceStage>(proto, types);
    }};

    using Type = SentencePieceProto::Type;
    for (const auto& [key, spelling] : {std::pair("bos_token", "<s>"), std::pair("eos_token", "</s>")})
        if (!config.contains(key) && proto->first_of(Type::control, spelling)) config[key] = spelling;
    if (!config.contains("unk_token")) config["unk_token"] = proto->pieces[proto->unk].text;

    std::string family = config.contains("tokenizer_class") && config["tokenizer_class"].is_string()
                             ? config["tokenizer_class"].get<std::string>()
                             : "LlamaTokenizer";
    bool sequence_to_sequence = family.find("T5") != std::string::npos || family.find("Pegasus") != std::string::npos;
    auto id_of = [&](const char* key) -> std::optional<std::int32_t> {
        auto found = config.find(key);
        if (found == config.end()) return std::nullopt;
        if (found->is_object() && found->contains("content")) found = found->find("content");
        return found->is_string() ? pipeline->model->vocabulary().find(found->get_ref<const std::string&>())
                                  : std::nullopt;
    };
    if (auto bos = id_of("bos_token"); bos && flag(config, "add_bos_token", !sequence_to_sequence))
        pipeline->post_processor.before.push_back(*bos);
    if (auto eos = id_of("eos_token"); eos && flag(config, "add_eos_token", sequence_to_sequence))
        pipeline->post_processor.after.push_back(*eos);
    return pipeline;
}

}  // namespace qlora::tokenizer
