#pragma once
// Text to token ids and back, as Hugging Face's transformers does it for the same files: the pipeline of
// tokenizer.json (added tokens -> normalizer -> pre-tokenizer -> model -> post-processor; decoder), built from
// a tokenizer.json, a sentencepiece model, or a GGUF file's metadata.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/json.h"

namespace qlora::formats {
class GgufFile;
}

namespace qlora::tokenizer {

struct Encoding {
    std::vector<std::int32_t> ids;
    std::vector<std::uint32_t> begin;  // byte offset in the input where each token's text starts; never decreases
};

struct EncodeOptions {
    bool add_special = true;    // the special tokens that the post-processor adds (bos, eos, cls, sep)
    bool parse_special = true;  // a special token's spelling inside the text becomes its id; else it is plain text
};

struct Pipeline;

// Immutable after construction; any thread may call any function. Malformed files throw input_error
// "tokenizer.*" naming the file and the field; a part of the specification that is not supported is
// "tokenizer.unsupported" and names the part.
class Tokenizer {
  public:
    // A folder in Hugging Face layout: tokenizer.json, else a sentencepiece model (tokenizer.model, spiece.model,
    // sentencepiece.bpe.model), else vocab.json with merges.txt, else vocab.txt, which the class that the folder names
    // says how to read (vocabulary_files.h); beside it tokenizer_config.json, special_tokens_map.json,
    // chat_template.jinja, each optional.
    static std::shared_ptr<const Tokenizer> load(const std::filesystem::path& folder);
    // The tokenizer that transformers builds from the same metadata (tokenizer.ggml.*, tokenizer.chat_template).
    static std::shared_ptr<const Tokenizer> from_gguf(const formats::GgufFile& file);
    explicit Tokenizer(std::unique_ptr<const Pipeline> pipeline);
    ~Tokenizer();

    // Any bytes below 4 GiB; what is not UTF-8 becomes U+FFFD as Python's errors="replace" has it. With
    // parse_special off no special id comes out but unk (for text outside the vocabulary) and those of add_special.
    Encoding encode(std::string_view text, EncodeOptions options = {}) const;
    // As transformers' decode with clean_up_tokenization_spaces=False; ids outside the vocabulary give nothing.
    std::string decode(std::span<const std::int32_t> ids, bool skip_special = false) const;

    std::string token(std::int32_t id) const;  // the vocabulary's spelling; empty for an id outside it
    std::optional<std::int32_t> find(std::string_view token) const;
    std::int32_t vocabulary_size() const;  // one more than the largest id
    std::optional<std::int32_t> bos() const;
    std::optional<std::int32_t> eos() const;
    std::optional<std::int32_t> pad() const;
    std::optional<std::int32_t> unk() const;
    bool is_special(std::int32_t id) const;
    const std::string& kind() const { return kind_; }  // for people: "byte-level BPE", "sentencepiece unigram", ...

    bool has_chat_template() const;
    const std::string& chat_template() const;  // Jinja source; empty where there is none
    // The conversation [{"role", "content", ...}, ...] as transformers' apply_chat_template(tokenize=False) renders
    // it; `extra` is an object of further variables ("tools", "documents", ...). Throws input_error "chat.*".
    std::string render_chat(const OrderedJson& messages, bool add_generation_prompt, const OrderedJson& extra = {}) const;

    // Names and contents of the files from which transformers loads this tokenizer: a folder's own files, or for
    // GGUF a tokenizer.json, tokenizer_config.json and chat_template.jinja that say the same.
    std::vector<std::pair<std::string, std::string>> files() const;

    const Pipeline& pipeline() const { return *pipeline_; }

  private:
    std::unique_ptr<const Pipeline> pipeline_;
    std::string kind_;
};

class DecodeStream;

// The text of a growing list of ids, for streaming generation: whole UTF-8 characters only, and all pushes
// followed by finish() give exactly decode(). One thread at a time; `tokenizer` must outlive it.
class TextStream {
  public:
    explicit TextStream(const Tokenizer& tokenizer, bool skip_special = false);
    ~TextStream();
    TextStream(TextStream&&) noexcept;
    std::string push(std::int32_t id);
    std::string finish();

  private:
    const Tokenizer* tokenizer_;
    bool skip_special_;
    std::unique_ptr<DecodeStream> stream_;
};

}  // namespace qlora::tokenizer
