#pragma once
// Tokenizers of folders without a tokenizer.json: from vocab.txt, vocab.json and merges.txt, or a sentencepiece model,
// put together as the tokenizer classes of transformers 5 do it for the same files and configuration.

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/base/json.h"
#include "core/tokenizer/pipeline.h"

namespace qlora::tokenizer {

// The class that transformers takes for a folder, without "Fast": "BertTokenizer", "RobertaTokenizer", "GPT2Tokenizer",
// "Qwen2Tokenizer", "LlamaTokenizer", "GemmaTokenizer", "T5Tokenizer", "XLMRobertaTokenizer", or another name. From
// tokenizer_config.json, else from config.json (its own word, or its model_type); empty where neither says.
std::string tokenizer_class(const Json& tokenizer_config, const Json& model_config);

struct VocabularyFiles {
    std::unique_ptr<Pipeline> pipeline;       // not yet sealed
    std::vector<std::string> before, after;   // named tokens that stand around a text: "cls_token", ...
};

// Each fills in the names of special tokens that `config` lacks and the class has. Throws input_error naming the file.
VocabularyFiles read_vocab_txt(const std::string& file, const std::string& where, Json& config);
VocabularyFiles read_vocab_and_merges(const Json& vocab, const std::string& merges, const std::string& where,
                                      const std::string& merges_where, const std::string& family, Json& config);
// For the classes of Llama, Gemma, T5 and XLM-RoBERTa.
bool converts_sentencepiece(const std::string& family);
VocabularyFiles convert_sentencepiece(const std::string& file, const std::string& where, const std::string& family,
                                      Json& config);

}  // namespace qlora::tokenizer
