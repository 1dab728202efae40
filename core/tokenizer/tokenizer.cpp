#include "core/tokenizer/tokenizer.h"

#include "core/base/error.h"
#include "core/tokenizer/chat_template.h"
#include "core/tokenizer/decoder.h"
#include "core/tokenizer/pipeline.h"
#include "core/tokenizer/unicode.h"

namespace qlora::tokenizer {
namespace {

// One call of encode(): the way of a text through the pipeline.
class Encoder {
  public:
    Encoder(const Pipeline& pipeline, EncodeOptions options)
        : pipeline_(pipeline),
          options_(options),
          session_(pipeline.sessions.take(*pipeline.model, !options.parse_special)) {}
    ~Encoder() { pipeline_.sessions.give_back(std::move(session_), !options_.parse_special); }
    Encoder(const Encoder&) = delete;

    Tokens run(std::string_view text) {
        std::vector<std::uint32_t> origin;
        std::string repaired;
        Piece piece{text};
        if (!is_utf8(text)) {
            repaired = replace_invalid_utf8(text, &origin);
            piece = {repaired, 0, origin.data()};
        }
        if (options_.add_special)
            for (auto id : pipeline_.post_processor.before) tokens_.add(id, 0);
        find_added(piece, false, to_normalizer_);
        if (options_.add_special)
            for (auto id : pipeline_.post_processor.after) tokens_.add(id, static_cast<std::uint32_t>(text.size()));
        return std::move(tokens_);
    }

  private:
    void find_added(const Piece& piece, bool normalized, const PieceSink& next) {
        if (piece.text.empty()) return;
        if (!pipeline_.added.any(normalized)) return next(piece);
        pipeline_.added.split(piece, normalized, options_.parse_special, next,
                              [this](std::int32_t id, std::uint32_t begin) { tokens_.add(id, begin); });
    }

    void normalize(const Piece& piece) {
        Rewritten text;
        bool changed = pipeline_.normalizer && pipeline_.normalizer->rewrite(piece, text);
        find_added(changed ? text.piece() : piece, true, to_pre_tokenizer_);
    }

    void pre_tokenize(const Piece& piece) {
        if (pipeline_.pre_tokenizer)
            pipeline_.pre_tokenizer->split(piece, to_model_);
        else
            encode(piece);
    }

    void encode(const Piece& piece) {
        std::size_t first = tokens_.ids.size();
        session_->encode(piece.text, tokens_);
        for (std::size_t i = first; i < tokens_.ids.size(); ++i) tokens_.begin[i] = piece.offset(tokens_.begin[i]);
    }

    const Pipeline& pipeline_;
    EncodeOptions options_;
    std::unique_ptr<Model::Session> session_;
    Tokens tokens_;
    PieceSink to_normalizer_ = [this](const Piece& piece) { normalize(piece); };
    PieceSink to_pre_tokenizer_ = [this](const Piece& piece) { pre_tokenize(piece); };
    PieceSink to_model_ = [this](const Piece& piece) { encode(piece); };
};

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<const Pipeline> pipeline) : pipeline_(std::move(pipeline)), kind_(pipeline_->model->kind()) {}
Tokenizer::~Tokenizer() = default;

Encoding Tokenizer::encode(std::string_view text, EncodeOptions options) const {
    if (text.size() >= UINT32_MAX)
        throw input_error("tokenizer.text_size", "the text", "expected less than 4 GiB, got " +
                                                                 std::to_string(text.size()) + " bytes");
    Tokens tokens = Encoder(*pipeline_, options).run(text);
    return {std::move(tokens.ids), std::move(tokens.begin)};
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids, bool skip_special) const {
    TextStream stream(*this, skip_special);
    std::string text;
    for (auto id : ids) text += stream.push(id);
    return text + stream.finish();
}

std::string Tokenizer::token(std::int32_t id) const { return pipeline_->token(id); }
std::optional<std::int32_t> Tokenizer::find(std::string_view token) const { return pipeline_->find(token); }
std::int32_t Tokenizer::vocabulary_size() const { return pipeline_->vocabulary_size(); }
std::optional<std::int32_t> Tokenizer::bos() const { return pipeline_->named("bos_token"); }
std::optional<std::int32_t> Tokenizer::eos() const { return pipeline_->named("eos_token"); }
std::optional<std::int32_t> Tokenizer::pad() const { return pipeline_->named("pad_token"); }
std::optional<std::int32_t> Tokenizer::unk() const { return pipeline_->named("unk_token"); }
bool Tokenizer::is_special(std::int32_t id) const { return pipeline_->added.is_special(pipeline_->token(id)); }

bool Tokenizer::has_chat_template() const { return !pipeline_->chat_template.empty(); }
const std::string& Tokenizer::chat_template() const { return pipeline_->chat_template; }

std::string Tokenizer::render_chat(const OrderedJson& messages, bool add_generation_prompt,
                                   const OrderedJson& extra) const {
    if (!has_chat_template())
        throw input_error("chat.no_template", pipeline_->where, "this model has no chat template",
                          "Use prompt and completion columns, or choose an instruction-tuned model.");
    std::call_once(pipeline_->compile_once, [&] {
        pipeline_->compiled_template = std::make_unique<ChatTemplate>(pipeline_->chat_template, pipeline_->where);
    });
    OrderedJson variables = OrderedJson::object();
    for (const auto& [name, spelling] : pipeline_->named_tokens) variables[name] = spelling;
    if (extra.is_object())
        for (const auto& [name, value] : extra.items()) variables[name] = value;
    else if (!extra.is_null())
        throw input_error("chat.variables", "the chat's variables", "expected an object, got " + describe(Json(extra)));
    return pipeline_->compiled_template->render(messages, add_generation_prompt, variables);
}

std::vector<std::pair<std::string, std::string>> Tokenizer::files() const { return pipeline_->files; }

TextStream::TextStream(const Tokenizer& tokenizer, bool skip_special)
    : tokenizer_(&tokenizer),
      skip_special_(skip_special),
      stream_(std::make_unique<DecodeStream>(tokenizer.pipeline().decoder)) {}
TextStream::~TextStream() = default;
TextStream::TextStream(TextStream&&) noexcept = default;

std::string TextStream::push(std::int32_t id) {
    const Pipeline& pipeline = tokenizer_->pipeline();
    const std::string& spelling = pipeline.token(id);
    bool exists = !spelling.empty() || pipeline.model->vocabulary().has(id);
    if (!exists || (skip_special_ && pipeline.added.is_special(spelling))) return {};
    return stream_->push(spelling);
}

std::string TextStream::finish() { return stream_->finish(); }

}  // namespace qlora::tokenizer
