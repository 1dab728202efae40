// A tokenizer from a GGUF file's metadata: the tokenizer.json that says the same is put together and read.
// The families follow transformers' conversion (integrations/gguf) for the choice of parts.

#include <algorithm>
#include <map>
#include <unordered_set>

#include "core/base/error.h"
#include "core/formats/gguf.h"
#include "core/tokenizer/byte_alphabet.h"
#include "core/tokenizer/merges.h"
#include "core/tokenizer/pipeline.h"
#include "core/tokenizer/tokenizer.h"
#include "core/tokenizer/tokenizer_json.h"
#include "core/tokenizer/unicode.h"

namespace qlora::tokenizer {
namespace {

constexpr std::string_view space_mark = "\xE2\x96\x81";
constexpr std::size_t longest_token = 512;  // bytes; merges are derived in time quadratic in it

// Words as the models of a `tokenizer.ggml.pre` were trained on them; one whole-text expression each.
constexpr char llama3_words[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char qwen2_words[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char qwen35_words[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char tekken_words[] =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char gpt4o_words[] =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// Null stands for GPT-2's expression. A name that is not here is refused: a wrong guess gives wrong ids.
const std::map<std::string, const char*, std::less<>>& word_rules() {
    static const auto rules = [] {
        std::map<std::string, const char*, std::less<>> table;
        for (auto name : {"default", "gpt-2", "smollm", "starcoder", "refact", "command-r", "codeshell", "mpt", "olmo",
                          "phi-2", "jais", "trillion", "exaone", "jina-es", "jina-de", "roberta-bpe"})
            table[name] = nullptr;
        for (auto name : {"llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
                          "jina-v5-nano", "dbrx", "smaug-bpe"})
            table[name] = llama3_words;
        for (auto name : {"qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "stablelm2", "hunyuan"})
            table[name] = qwen2_words;
        for (auto name : {"gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"}) table[name] = gpt4o_words;
        table["qwen35"] = qwen35_words;
        table["tekken"] = tekken_words;
        return table;
    }();
    return rules;
}

std::string to_base64(std::string_view bytes) {
    static constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    for (std::size_t at = 0; at < bytes.size(); at += 3) {
        std::uint32_t bits = 0;
        for (std::size_t i = 0; i < 3; ++i) bits = bits << 8 | (at + i < bytes.size() ? static_cast<unsigned char>(bytes[at + i]) : 0);
        for (std::size_t i = 0; i < 4; ++i) text += at + i > bytes.size() ? '=' : digits[bits >> (18 - 6 * i) & 63];
    }
    return text;
}

class GgufTokenizer {
  public:
    explicit GgufTokenizer(const formats::GgufFile& file) : file_(file), where_(file.path().string()) {}

    std::unique_ptr<const Pipeline> load() {
        if (!file_.has("tokenizer.ggml.model"))
            throw input_error("tokenizer.missing", where_, "the GGUF file holds no tokenizer (tokenizer.ggml.model)");
        std::string model = file_.string("tokenizer.ggml.model");
        if (model != "gpt2" && model != "llama" && model != "bert" && model != "t5")
            throw input_error("tokenizer.unsupported", where_,
                              "the GGUF tokenizer \"" + model + "\": expected \"gpt2\" (byte-level BPE), \"llama\", \"bert\" or \"t5\"");
        architecture_ = file_.string("general.architecture", "");
        byte_level_ = model == "gpt2";
        read_tokens();
        read_special();
        Json json = {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}};
        if (byte_level_)
            byte_level(json);
        else if (model == "bert")
            word_piece(json);
        else if (model == "t5")
            unigram(json);
        else
            sentencepiece(json);
        json["added_tokens"] = added_tokens();
        if (model == "bert")
            json["post_processor"] = post_processor("cls_token", true, "sep_token", true);
        else
            json["post_processor"] = post_processor("bos_token", model == "llama", "eos_token", model == "t5");
        file_.check();
        return finish(json);
    }

  private:
    void read_tokens() {
        tokens_ = file_.strings("tokenizer.ggml.tokens");
        if (tokens_.empty() || tokens_.size() > static_cast<std::size_t>(Vocabulary::limit))
            throw input_error("tokenizer.gguf", where_, "tokenizer.ggml.tokens: expected 1 to " +
                                                            std::to_string(Vocabulary::limit) + " tokens, got " +
                                                            std::to_string(tokens_.size()));
        for (auto& token : tokens_)
            if (!is_utf8(token)) token = replace_invalid_utf8(token);
        if (file_.has("tokenizer.ggml.token_type")) types_ = file_.integers("tokenizer.ggml.token_type", 0, 255);
        expect_one_each("tokenizer.ggml.token_type", types_.size(), types_.empty());
    }

    void expect_one_each(const char* key, std::size_t count, bool absent) const {
        if (!absent && count != tokens_.size())
            throw input_error("tokenizer.gguf", where_, std::string(key) + ": expected one entry a token, " +
                                                            std::to_string(tokens_.size()) + ", got " +
                                                            std::to_string(count));
    }

    void read_special() {
        static constexpr const char* keys[][2] = {{"bos_token", "bos_token_id"},
                                                  {"eos_token", "eos_token_id"},
                                                  {"unk_token", "unknown_token_id"},
                                                  {"pad_token", "padding_token_id"},
                                                  {"cls_token", "cls_token_id"},
                                                  {"sep_token", "seperator_token_id"},
                                                  {"mask_token", "mask_token_id"}};
        for (const auto& [name, key] : keys) {
            std::string full = std::string("tokenizer.ggml.") + key;
            if (!file_.has(full)) continue;
            // Some converters write 2^32 - 1 for "none".
            if (file_.integer(full, INT32_MIN, UINT32_MAX) == UINT32_MAX) continue;
            auto id = file_.integer(full, 0, static_cast<std::int64_t>(tokens_.size()) - 1);
            named_.emplace_back(name, static_cast<std::int32_t>(id));
        }
    }

    // 3: control, 4: user defined (llama.cpp's llama_token_type).
    bool is_control(std::size_t id) const { return !types_.empty() && types_[id] == 3; }
    bool is_user_defined(std::size_t id) const { return !types_.empty() && types_[id] == 4; }
    bool is_added(std::size_t id) const {
        return is_control(id) || is_user_defined(id) ||
               std::any_of(named_.begin(), named_.end(), [&](const auto& n) { return n.second == static_cast<int>(id); });
    }

    void byte_level(Json& json) {
        std::string pre = file_.string("tokenizer.ggml.pre", "default");
        auto rule = word_rules().find(pre);
        if (rule == word_rules().end())
            throw input_error("tokenizer.unsupported", where_,
                              "tokenizer.ggml.pre is \"" + pre + "\", a way of cutting words that is not known here");
        // What a byte vocabulary's alphabet cannot spell is text that was never spelled in it.
        for (std::size_t id = 0; id < tokens_.size(); ++id)
            if (!is_added(id) && !spelled_bytes(tokens_[id])) tokens_[id] = byte_spelling(tokens_[id]);
        Json byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true},
                           {"use_regex", rule->second == nullptr}};
        json["pre_tokenizer"] = byte_level;
        if (rule->second)
            json["pre_tokenizer"] = {
                {"type", "Sequence"},
                {"pretokenizers",
                 Json::array({Json{{"type", "Split"}, {"pattern", {{"Regex", rule->second}}},
                                   {"behavior", "Isolated"}, {"invert", false}},
                              byte_level})}};
        json["normalizer"] = nullptr;
        json["decoder"] = {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}};
        Json merges = Json::array();
        for (const auto& text : file_.strings("tokenizer.ggml.merges")) {
            auto space = text.find(' ');
            if (space == std::string::npos || !is_utf8(text))
                throw input_error("tokenizer.merges", where_, "tokenizer.ggml.merges, entry " +
                                                                  std::to_string(merges.size()) +
                                                                  ": expected two tokens with a space between");
            merges.push_back(Json::array({text.substr(0, space), text.substr(space + 1)}));
        }
        model(json, std::move(merges), {});
        familiar_ = {"<|endoftext|>"};
    }

    void sentencepiece(Json& json) {
        bool gemma = architecture_.starts_with("gemma"), phi3 = architecture_ == "phi3";
        bool prefix = !gemma && file_.boolean("tokenizer.ggml.add_space_prefix", true);
        std::vector<double> scores;
        if (gemma) {
            // Gemma's tokens of several spaces are spelled with real ones, and its scores do not follow its merges.
            for (std::size_t id = 0; id < tokens_.size(); ++id) {
                auto& token = tokens_[id];
                if (!token.empty() && token.find_first_not_of(' ') == std::string::npos) {
                    std::string marks;
                    for (std::size_t i = 0; i < token.size(); ++i) marks += space_mark;
                    token = marks;
                }
                scores.push_back(-static_cast<double>(id));
            }
        } else if (file_.has("tokenizer.ggml.scores")) {
            scores = file_.numbers("tokenizer.ggml.scores");
        }
        expect_one_each("tokenizer.ggml.scores", scores.size(), file_.has("tokenizer.ggml.merges"));
        Json replace = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", space_mark}};
        Json pieces = Json::array();
        if (phi3 && prefix) pieces.push_back({{"type", "Prepend"}, {"prepend", space_mark}});
        pieces.push_back(replace);
        if (gemma || phi3) {
            json["normalizer"] = {{"type", "Sequence"}, {"normalizers", pieces}};
            json["pre_tokenizer"] = nullptr;
        } else {
            json["normalizer"] = nullptr;
            json["pre_tokenizer"] = {{"type", "Metaspace"},
                                     {"replacement", space_mark},
                                     {"prepend_scheme", prefix ? "first" : "never"},
                                     {"split", false}};
        }
        Json decoders = Json::array({Json{{"type", "Replace"}, {"pattern", {{"String", space_mark}}}, {"content", " "}},
                                     Json{{"type", "ByteFallback"}}, Json{{"type", "Fuse"}}});
        if (prefix) decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
        json["decoder"] = {{"type", "Sequence"}, {"decoders", decoders}};
        Json merges = Json::array();
        if (file_.has("tokenizer.ggml.merges")) {
            for (const auto& text : file_.strings("tokenizer.ggml.merges")) {
                auto space = text.find(' ');
                if (space == std::string::npos)
                    throw input_error("tokenizer.merges", where_, "tokenizer.ggml.merges, entry " +
                                                                      std::to_string(merges.size()) +
                                                                      ": expected two tokens with a space between");
                merges.push_back(Json::array({text.substr(0, space), text.substr(space + 1)}));
            }
        } else {
            for (const auto& token : tokens_)
                if (token.size() > longest_token)
                    throw input_error("tokenizer.gguf", where_, "expected tokens of at most " +
                                                                    std::to_string(longest_token) + " bytes, got one of " +
                                                                    std::to_string(token.size()));
            for (auto& [left, right] : derive_merges(tokens_, &scores))
                merges.push_back(Json::array({std::move(left), std::move(right)}));
        }
        model(json, std::move(merges), {{"byte_fallback", true}, {"fuse_unk", true}});
        familiar_ = {"<s>", "</s>", "<unk>"};
        if (gemma) familiar_ = {"<bos>", "<eos>", "<unk>", "<pad>", "<mask>"};
        if (gemma && ids_.contains("<unk>")) json["model"]["unk_token"] = "<unk>";
    }

    void index_tokens() {
        for (std::size_t id = 0; id < tokens_.size(); ++id) ids_[tokens_[id]] = static_cast<std::int32_t>(id);
    }

    // llama.cpp marks the starts of words with U+2581 where BERT marks what continues them.
    void word_piece(Json& json) {
        Json vocab = Json::object();
        for (std::size_t id = 0; id < tokens_.size(); ++id) {
            std::string& token = tokens_[id];
            if (token.starts_with(space_mark))
                token.erase(0, space_mark.size());
            else if (!token.starts_with('[') || !token.ends_with(']') || token.size() < 3)
                token.insert(0, "##");
            vocab[token] = id;
        }
        index_tokens();
        for (const auto& usual : {std::pair("unk_token", "[UNK]"), std::pair("cls_token", "[CLS]"), std::pair("sep_token", "[SEP]"),
                                  std::pair("pad_token", "[PAD]"), std::pair("mask_token", "[MASK]")}) {
            bool known = std::any_of(named_.begin(), named_.end(), [&](const auto& n) { return n.first == usual.first; });
            if (auto found = ids_.find(usual.second); !known && found != ids_.end()) named_.emplace_back(usual.first, found->second);
        }
        std::string unk = "[UNK]";
        for (const auto& [name, id] : named_)
            if (name == "unk_token") unk = tokens_[id];
        json["normalizer"] = {{"type", "BertNormalizer"}, {"clean_text", true}, {"handle_chinese_chars", true}, {"strip_accents", nullptr},
                              {"lowercase", file_.boolean("tokenizer.ggml.normalizer.lowercase", true)}};
        json["pre_tokenizer"] = {{"type", "BertPreTokenizer"}};
        json["decoder"] = {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}};
        json["model"] = {{"type", "WordPiece"}, {"unk_token", unk}, {"continuing_subword_prefix", "##"},
                         {"max_input_chars_per_word", 100}, {"vocab", std::move(vocab)}};
    }

    // T5: blanks of a prompt are stored under placeholders' names, the last ones first.
    void unigram(Json& json) {
        auto scores = file_.numbers("tokenizer.ggml.scores");
        expect_one_each("tokenizer.ggml.scores", scores.size(), false);
        int blank = 100;
        Json vocab = Json::array();
        for (std::size_t id = 0; id < tokens_.size(); ++id) {
            std::string& token = tokens_[id];
            bool placeholder = token.starts_with("[PAD") && token.ends_with(']') && token.size() > 5 &&
                               token.find_first_not_of("0123456789", 4) == token.size() - 1;
            if (placeholder && blank > 0) token = "<extra_id_" + std::to_string(--blank) + ">";
            vocab.push_back(Json::array({token, scores[id]}));
        }
        index_tokens();
        for (int i = 0; i < 100; ++i) familiar_.push_back("<extra_id_" + std::to_string(i) + ">");
        json["normalizer"] = nullptr;
        if (file_.has("tokenizer.ggml.precompiled_charsmap")) {
            std::string map;
            for (auto byte : file_.integers("tokenizer.ggml.precompiled_charsmap", -128, 255)) map += static_cast<char>(byte);
            if (!map.empty()) json["normalizer"] = {{"type", "Precompiled"}, {"precompiled_charsmap", to_base64(map)}};
        }
        Json metaspace = {{"type", "Metaspace"}, {"replacement", space_mark}, {"prepend_scheme", "always"}, {"split", true}};
        json["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", Json::array({Json{{"type", "WhitespaceSplit"}}, metaspace})}};
        json["decoder"] = metaspace;
        std::int32_t unk = 2;
        for (const auto& [name, id] : named_)
            if (name == "unk_token") unk = id;
        json["model"] = {{"type", "Unigram"}, {"unk_id", unk}, {"vocab", std::move(vocab)}, {"byte_fallback", false}};
    }

    void model(Json& json, Json merges, Json options) {
        Json vocab = Json::object();
        for (std::size_t id = 0; id < tokens_.size(); ++id) {
            vocab[tokens_[id]] = id;
            ids_[tokens_[id]] = static_cast<std::int32_t>(id);
        }
        json["model"] = {{"type", "BPE"},
                         {"dropout", nullptr},
                         {"unk_token", nullptr},
                         {"continuing_subword_prefix", nullptr},
                         {"end_of_word_suffix", nullptr},
                         {"fuse_unk", false},
                         {"byte_fallback", false},
                         {"ignore_merges", false}};
        json["model"].update(options.is_object() ? options : Json::object());
        json["model"]["vocab"] = std::move(vocab);
        json["model"]["merges"] = std::move(merges);
    }

    Json added_tokens() {
        // The named tokens, and those that a family always has, are special whatever their type says.
        std::unordered_set<std::int32_t> special;
        for (const auto& [name, id] : named_) special.insert(id);
        for (const auto& spelling : familiar_)
            if (auto found = ids_.find(spelling); found != ids_.end()) special.insert(found->second);
        Json list = Json::array();
        for (std::size_t id = 0; id < tokens_.size(); ++id) {
            bool is_special = is_control(id) || special.contains(static_cast<std::int32_t>(id));
            if (!is_special && !is_user_defined(id)) continue;
            if (tokens_[id].empty() || ids_[tokens_[id]] != static_cast<std::int32_t>(id)) continue;
            list.push_back({{"id", id},         {"content", tokens_[id]}, {"single_word", false}, {"lstrip", false},
                            {"rstrip", false}, {"normalized", false},    {"special", is_special}});
        }
        return list;
    }

    Json post_processor(const char* before, bool with_before, const char* after, bool with_after) const {
        Json single = Json::array(), tokens = Json::object();
        auto add = [&](std::string_view name, const char* key, bool fallback) {
            auto named = std::find_if(named_.begin(), named_.end(), [&](const auto& n) { return n.first == name; });
            if (!file_.boolean(key, fallback) || named == named_.end()) return;
            const std::string& spelling = tokens_[named->second];
            single.push_back({{"SpecialToken", {{"id", spelling}, {"type_id", 0}}}});
            tokens[spelling] = {{"id", spelling}, {"ids", {named->second}}, {"tokens", {spelling}}};
        };
        add(before, "tokenizer.ggml.add_bos_token", with_before);
        single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
        add(after, "tokenizer.ggml.add_eos_token", with_after);
        Json pair = single;
        pair.push_back({{"Sequence", {{"id", "B"}, {"type_id", 1}}}});
        return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", tokens}};
    }

    std::unique_ptr<const Pipeline> finish(const Json& json) {
        auto pipeline = read_tokenizer_json(json, where_);
        Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"}, {"clean_up_tokenization_spaces", false}};
        for (const auto& [name, id] : named_) {
            pipeline->named_tokens.emplace_back(name, tokens_[id]);
            config[name] = tokens_[id];
        }
        std::string context = architecture_ + ".context_length";
        if (file_.has(context)) config["model_max_length"] = file_.integer(context, 1, INT32_MAX);
        pipeline->chat_template = file_.string("tokenizer.chat_template", "");
        pipeline->files = {{"tokenizer.json", json.dump()}, {"tokenizer_config.json", config.dump(2) + "\n"}};
        if (!pipeline->chat_template.empty())
            pipeline->files.emplace_back("chat_template.jinja", pipeline->chat_template);
        pipeline->seal();
        return pipeline;
    }

    const formats::GgufFile& file_;
    std::string where_, architecture_;
    bool byte_level_ = false;
    std::vector<std::string> tokens_;
    std::vector<std::int64_t> types_;
    std::vector<std::pair<std::string, std::int32_t>> named_;
    std::vector<std::string> familiar_;
    TextMap<std::int32_t> ids_;
};

}  // namespace

std::shared_ptr<const Tokenizer> Tokenizer::from_gguf(const formats::GgufFile& file) {
    return std::make_shared<const Tokenizer>(GgufTokenizer(file).load());
}

}  // namespace qlora::tokenizer
