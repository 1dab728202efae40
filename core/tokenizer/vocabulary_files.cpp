#include "core/tokenizer/vocabulary_files.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/tokenizer/bpe.h"
#include "core/tokenizer/character_map.h"
#include "core/tokenizer/merges.h"
#include "core/tokenizer/sentencepiece_proto.h"
#include "core/tokenizer/unicode.h"
#include "core/tokenizer/unigram.h"
#include "core/tokenizer/word_piece.h"

namespace qlora::tokenizer {
namespace {

constexpr std::string_view space_mark = "\xE2\x96\x81";
constexpr std::size_t longest_token = 512;  // bytes; merges are derived in time quadratic in it
constexpr char qwen2_words[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

bool flag(const Json& config, const char* key, bool fallback) {
    auto found = config.find(key);
    return found == config.end() || !found->is_boolean() ? fallback : found->get<bool>();
}

void name(Json& config, std::initializer_list<std::pair<const char*, const char*>> tokens) {
    for (const auto& [key, spelling] : tokens)
        if (!config.contains(key)) config[key] = spelling;
}

// A token's spelling in a configuration, where it is text or an object with its "content".
std::string spelling(const Json& config, const char* key) {
    auto found = config.find(key);
    if (found == config.end()) return {};
    if (found->is_object() && found->contains("content")) found = found->find("content");
    return found->is_string() ? found->get<std::string>() : std::string();
}

std::vector<std::string_view> lines_of(std::string_view text) {
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        auto end = std::min(text.find('\n'), text.size());
        auto line = text.substr(0, end);
        if (line.ends_with('\r')) line.remove_suffix(1);
        lines.push_back(line);
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return lines;
}

// Around a text stand what add_bos_token and add_eos_token ask for.
void add_bos_and_eos(const Json& config, VocabularyFiles& out) {
    if (flag(config, "add_bos_token", false)) out.before = {"bos_token"};
    if (flag(config, "add_eos_token", false)) out.after = {"eos_token"};
}

void set_parts(Pipeline& pipeline, const Json& normalizer, const Json& pre_tokenizer, const Json& decoder) {
    bool byte_level = false;
    if (!normalizer.is_null()) pipeline.normalizer = read_normalizer(normalizer, pipeline.where);
    pipeline.pre_tokenizer = read_pre_tokenizer(pre_tokenizer, pipeline.where, byte_level);
    pipeline.decoder = read_decoder(decoder, pipeline.where);
}

Json metaspace(const char* scheme, bool split) {
    return {{"type", "Metaspace"}, {"replacement", space_mark}, {"prepend_scheme", scheme}, {"split", split}};
}

// "▁" to blanks, bytes to characters, all in one; `strip` takes the blank in front.
Json byte_fallback_decoder(bool strip) {
    Json decoders = Json::array({Json{{"type", "Replace"}, {"pattern", {{"String", space_mark}}}, {"content", " "}},
                                 Json{{"type", "ByteFallback"}}, Json{{"type", "Fuse"}}});
    if (strip) decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
    return {{"type", "Sequence"}, {"decoders", decoders}};
}

class Conversion {
  public:
    Conversion(const std::string& file, const std::string& where, Json& config)
        : proto_(read_sentencepiece_proto(file, where)), where_(where), config_(config) {
        out_.pipeline = std::make_unique<Pipeline>();
        out_.pipeline->where = where;
    }

    VocabularyFiles llama() {
        name(config_, {{"unk_token", "<unk>"}, {"bos_token", "<s>"}, {"eos_token", "</s>"}});
        bool prefix = flag(config_, "add_prefix_space", true);
        const char* scheme = !prefix ? "never" : flag(config_, "legacy", false) ? "always" : "first";
        byte_pairs({});
        set_parts(*out_.pipeline, nullptr, metaspace(scheme, false), byte_fallback_decoder(prefix));
        add_bos_and_eos(config_, out_);
        return finish();
    }

    VocabularyFiles gemma() {
        name(config_, {{"unk_token", "<unk>"}, {"bos_token", "<bos>"}, {"eos_token", "<eos>"}, {"pad_token", "<pad>"},
                       {"mask_token", "<mask>"}});
        byte_pairs(spelling(config_, "unk_token"));
        set_parts(*out_.pipeline,
                  {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", space_mark}},
                  {{"type", "Split"}, {"pattern", {{"String", " "}}}, {"behavior", "MergedWithPrevious"}, {"invert", false}},
                  byte_fallback_decoder(false));
        add_bos_and_eos(config_, out_);
        return finish();
    }

    VocabularyFiles t5() {
        name(config_, {{"eos_token", "</s>"}, {"unk_token", "<unk>"}, {"pad_token", "<pad>"}});
        JsonObject checked(config_, where_);
        auto extra = checked.integer("extra_ids", 0, 100'000, 100);
        for (const auto& piece : proto_.pieces) add(piece.text, piece.score);
        for (auto i = extra - 1; i >= 0; --i) add("<extra_id_" + std::to_string(i) + ">", 0);
        for (std::int64_t i = 0; i < extra; ++i) special_.push_back("<extra_id_" + std::to_string(i) + ">");
        unigram(2, "always");
        out_.after = {"eos_token"};
        return finish();
    }

    VocabularyFiles xlm_roberta() {
        name(config_, {{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"sep_token", "</s>"}, {"cls_token", "<s>"},
                       {"unk_token", "<unk>"}, {"pad_token", "<pad>"}, {"mask_token", "<mask>"}});
        // fairseq's order of the first four.
        for (const char* key : {"bos_token", "pad_token", "eos_token", "unk_token"}) add(spelling(config_, key), 0);
        for (std::size_t i = 3; i < proto_.pieces.size(); ++i) add(proto_.pieces[i].text, proto_.pieces[i].score);
        add(spelling(config_, "mask_token"), 0);
        unigram(3, flag(config_, "add_prefix_space", true) ? "always" : "never");
        out_.before = {"bos_token"};
        out_.after = {"eos_token"};
        return finish();
    }

  private:
    void add(const std::string& token, double score) {
        vocabulary_.add(token, static_cast<std::int32_t>(scores_.size()));
        scores_.push_back(score);
    }

    void unigram(std::int32_t unk, const char* scheme) {
        if (unk >= vocabulary_.size())
            throw input_error("sentencepiece.piece", where_, "expected more than " + std::to_string(unk) + " pieces, got " +
                                                                 std::to_string(proto_.pieces.size()));
        out_.pipeline->model = std::make_unique<Unigram>(std::move(vocabulary_), std::move(scores_), unk, false);
        if (!proto_.charsmap.empty())
            out_.pipeline->normalizer = character_map_normalizer(CharacterMap(proto_.charsmap, where_));
        Json words = {{"type", "Sequence"},
                      {"pretokenizers", Json::array({Json{{"type", "WhitespaceSplit"}}, metaspace(scheme, true)})}};
        set_parts(*out_.pipeline, nullptr, words, metaspace(scheme, true));
    }

    void byte_pairs(const std::string& unk) {
        std::vector<std::string> tokens;
        for (const auto& piece : proto_.pieces) {
            if (piece.text.size() > longest_token)
                throw input_error("sentencepiece.piece", where_, "expected pieces of at most " + std::to_string(longest_token) +
                                                                     " bytes to derive merges from, got one of " +
                                                                     std::to_string(piece.text.size()));
            vocabulary_.add(piece.text, static_cast<std::int32_t>(tokens.size()));
            tokens.push_back(piece.text);
        }
        BpeOptions options;
        options.byte_fallback = options.fuse_unk = true;
        if (!unk.empty()) options.unk = unk;
        out_.pipeline->model =
            std::make_unique<Bpe>(std::move(vocabulary_), derive_merges(tokens, nullptr), std::move(options), where_);
    }

    // Control pieces and user-defined symbols are found in the text as they are spelled.
    VocabularyFiles finish() {
        for (const auto& piece : proto_.pieces) {
            bool control = piece.type == SentencePieceProto::Type::control;
            if (!control && piece.type != SentencePieceProto::Type::user_defined) continue;
            AddedToken token;
            token.content = piece.text;
            token.normalized = false;
            token.special = control;
            token.id = out_.pipeline->find(piece.text).value_or(out_.pipeline->vocabulary_size());
            out_.pipeline->added.add(std::move(token));
        }
        for (const auto& text : special_) {
            AddedToken token;
            token.content = text;
            token.normalized = false;
            out_.pipeline->add_special(std::move(token));
        }
        return std::move(out_);
    }

    SentencePieceProto proto_;
    std::string where_;
    Json& config_;
    VocabularyFiles out_;
    Vocabulary vocabulary_;
    std::vector<double> scores_;
    std::vector<std::string> special_;
};

}  // namespace

std::string tokenizer_class(const Json& tokenizer_config, const Json& model_config) {
    std::string family = spelling(tokenizer_config, "tokenizer_class");
    if (family.empty()) family = spelling(model_config, "tokenizer_class");
    if (family.ends_with("Fast")) family.resize(family.size() - 4);
    if (family == "DistilBertTokenizer") return "BertTokenizer";
    if (!family.empty()) return family;
    static constexpr const char* of_model[][2] = {
        {"bert", "BertTokenizer"},     {"distilbert", "BertTokenizer"},  {"roberta", "RobertaTokenizer"},
        {"gpt2", "GPT2Tokenizer"},     {"qwen2", "Qwen2Tokenizer"},      {"qwen3", "Qwen2Tokenizer"},
        {"llama", "LlamaTokenizer"},   {"mistral", "LlamaTokenizer"},    {"gemma", "GemmaTokenizer"},
        {"gemma2", "GemmaTokenizer"},  {"gemma3", "GemmaTokenizer"},     {"gemma3_text", "GemmaTokenizer"},
        {"t5", "T5Tokenizer"},         {"xlm-roberta", "XLMRobertaTokenizer"}};
    std::string type = spelling(model_config, "model_type");
    for (const auto& [model, name] : of_model)
        if (type == model) return name;
    return {};
}

VocabularyFiles read_vocab_txt(const std::string& file, const std::string& where, Json& config) {
    name(config, {{"unk_token", "[UNK]"}, {"sep_token", "[SEP]"}, {"pad_token", "[PAD]"}, {"cls_token", "[CLS]"},
                  {"mask_token", "[MASK]"}});
    if (!is_utf8(file)) throw input_error("tokenizer.vocab", where, "expected text in UTF-8");
    Vocabulary vocabulary;
    std::int32_t id = 0;
    for (auto line : lines_of(file)) {
        while (!line.empty()) {
            std::size_t start = previous_character(line, line.size()), at = start;
            if (!is_whitespace(next_character(line, at))) break;
            line = line.substr(0, start);
        }
        vocabulary.add(std::string(line), id++);
    }
    if (id == 0) throw input_error("tokenizer.vocab", where, "expected one token a line, got an empty file");
    VocabularyFiles out{std::make_unique<Pipeline>(), {"cls_token"}, {"sep_token"}};
    out.pipeline->where = where;
    WordPieceOptions options;
    options.unk = spelling(config, "unk_token");
    out.pipeline->model = std::make_unique<WordPiece>(std::move(vocabulary), std::move(options));
    Json normalizer = {{"type", "BertNormalizer"},
                       {"clean_text", true},
                       {"handle_chinese_chars", flag(config, "tokenize_chinese_chars", true)},
                       {"lowercase", flag(config, "do_lower_case", true)}};
    if (config.contains("strip_accents") && config["strip_accents"].is_boolean())
        normalizer["strip_accents"] = config["strip_accents"];
    set_parts(*out.pipeline, normalizer, {{"type", "BertPreTokenizer"}}, {{"type", "WordPiece"}, {"prefix", "##"}});
    return out;
}

VocabularyFiles read_vocab_and_merges(const Json& vocab, const std::string& merges, const std::string& where,
                                      const std::string& merges_where, const std::string& family, Json& config) {
    bool roberta = family == "RobertaTokenizer", qwen2 = family == "Qwen2Tokenizer";
    if (roberta)
        name(config, {{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"sep_token", "</s>"}, {"cls_token", "<s>"},
                      {"unk_token", "<unk>"}, {"pad_token", "<pad>"}, {"mask_token", "<mask>"}});
    else if (qwen2)
        name(config, {{"unk_token", "<|endoftext|>"}, {"eos_token", "<|endoftext|>"}, {"pad_token", "<|endoftext|>"}});
    else
        name(config, {{"unk_token", "<|endoftext|>"}, {"bos_token", "<|endoftext|>"}, {"eos_token", "<|endoftext|>"}});
    if (!is_utf8(merges)) throw input_error("tokenizer.merges", merges_where, "expected text in UTF-8");
    std::vector<Merge> pairs;
    for (auto line : lines_of(merges)) {
        if (line.starts_with("#version") || line.empty()) continue;
        auto space = line.find(' ');
        if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos)
            throw input_error("tokenizer.merges", merges_where, "merge " + std::to_string(pairs.size()) +
                                                                    ": expected two tokens, got " + describe(Json(line)));
        pairs.emplace_back(line.substr(0, space), line.substr(space + 1));
    }
    VocabularyFiles out{std::make_unique<Pipeline>(), {}, {}};
    out.pipeline->where = where;
    BpeOptions options;
    options.byte_level = true;
    Json model = {{"vocab", vocab}};
    out.pipeline->model =
        std::make_unique<Bpe>(read_vocabulary(JsonObject(model, where)), pairs, std::move(options), merges_where);
    Json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", flag(config, "add_prefix_space", false)}, {"use_regex", !qwen2}};
    Json words = bytes;
    if (qwen2)
        words = {{"type", "Sequence"},
                 {"pretokenizers", Json::array({Json{{"type", "Split"}, {"pattern", {{"Regex", qwen2_words}}},
                                                     {"behavior", "Isolated"}, {"invert", false}},
                                                bytes})}};
    set_parts(*out.pipeline, qwen2 ? Json{{"type", "NFC"}} : Json(), words, {{"type", "ByteLevel"}});
    if (roberta) {
        out.before = {"cls_token"};
        out.after = {"sep_token"};
    } else {
        add_bos_and_eos(config, out);
    }
    return out;
}

bool converts_sentencepiece(const std::string& family) {
    return family == "LlamaTokenizer" || family == "GemmaTokenizer" || family == "T5Tokenizer" ||
           family == "XLMRobertaTokenizer";
}

VocabularyFiles convert_sentencepiece(const std::string& file, const std::string& where, const std::string& family,
                                      Json& config) {
    Conversion conversion(file, where, config);
    return family == "LlamaTokenizer"  ? conversion.llama()
           : family == "GemmaTokenizer" ? conversion.gemma()
           : family == "T5Tokenizer"    ? conversion.t5()
                                        : conversion.xlm_roberta();
}

}  // namespace qlora::tokenizer
