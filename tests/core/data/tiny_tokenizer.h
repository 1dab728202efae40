#pragma once
// A tokenizer of single bytes with a chosen chat template: ids and masks can be read off the text.

#include <memory>
#include <string>
#include <vector>

#include "core/base/json.h"
#include "core/tokenizer/tokenizer.h"
#include "tests/core/data/fixtures.h"

namespace fixtures {

struct TinyTokenizer {
    std::string chat_template;          // empty: none
    std::string bos, eos = "</s>";      // bos empty: none
    std::vector<std::string> specials;  // besides bos and eos
};

// GPT-2's spelling of a byte in a vocabulary: itself where it is printable, else U+0100 and on.
inline std::string byte_spelling(int byte) {
    auto printable = [](int b) {
        return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);
    };
    int code = byte;
    if (!printable(byte)) {
        code = 256;
        for (int b = 0; b < byte; ++b) code += !printable(b);
    }
    if (code < 0x80) return std::string(1, static_cast<char>(code));
    return {static_cast<char>(0xC0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3F))};
}

inline std::shared_ptr<const qlora::tokenizer::Tokenizer> make_tokenizer(const Folder& folder,
                                                                         const std::string& name,
                                                                         TinyTokenizer spec) {
    using qlora::Json;
    Json vocabulary = Json::object(), added = Json::array();
    for (int byte = 0; byte < 256; ++byte) vocabulary[byte_spelling(byte)] = byte;
    spec.specials.insert(spec.specials.begin(), spec.eos);
    if (!spec.bos.empty()) spec.specials.insert(spec.specials.begin(), spec.bos);
    int id = 256;
    for (const auto& special : spec.specials)
        added.push_back({{"id", id++},
                         {"content", special},
                         {"single_word", false},
                         {"lstrip", false},
                         {"rstrip", false},
                         {"normalized", false},
                         {"special", true}});
    Json post = nullptr;
    if (!spec.bos.empty())
        post = {
            {"type", "TemplateProcessing"},
            {"single",
             {{{"SpecialToken", {{"id", spec.bos}, {"type_id", 0}}}},
              {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}},
            {"pair",
             {{{"Sequence", {{"id", "A"}, {"type_id", 0}}}}, {{"Sequence", {{"id", "B"}, {"type_id", 1}}}}}},
            {"special_tokens", {{spec.bos, {{"id", spec.bos}, {"ids", {256}}, {"tokens", {spec.bos}}}}}}};
    Json tokenizer = {
        {"version", "1.0"},
        {"truncation", nullptr},
        {"padding", nullptr},
        {"added_tokens", added},
        {"normalizer", nullptr},
        {"pre_tokenizer",
         {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}}},
        {"post_processor", post},
        {"decoder",
         {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}}},
        {"model",
         {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", nullptr},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", false},
          {"byte_fallback", false},
          {"ignore_merges", false},
          {"vocab", vocabulary},
          {"merges", Json::array()}}}};
    Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"}, {"eos_token", spec.eos}};
    if (!spec.bos.empty()) config["bos_token"] = spec.bos;
    if (!spec.chat_template.empty()) config["chat_template"] = spec.chat_template;
    std::filesystem::create_directories(folder.path(name));
    folder.write(name + "/tokenizer.json", tokenizer.dump());
    folder.write(name + "/tokenizer_config.json", config.dump());
    return qlora::tokenizer::Tokenizer::load(folder.path(name));
}

}  // namespace fixtures
