// tokenize_lines TOKENIZER TEXTS OUT [literal]: encodes many texts and decodes their ids, for comparison with the peers.
// TOKENIZER is a folder or a GGUF file. TEXTS holds <u32 size><bytes> a text; OUT gets <u32 count><i32 ids> and twice
// <u32 size><bytes>, the decoded text with and without special tokens, a text. All integers little-endian.

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>

#include "core/base/error.h"
#include "core/formats/gguf.h"
#include "core/tokenizer/tokenizer.h"

namespace {

void put(std::ofstream& out, const void* data, std::size_t size, std::uint32_t count) {
    out.write(reinterpret_cast<const char*>(&count), sizeof count);
    out.write(static_cast<const char*>(data), static_cast<std::streamsize>(size));
}

int run(const std::filesystem::path& path, const char* texts, const char* to, bool literal) {
    using qlora::tokenizer::Tokenizer;
    auto tokenizer = path.extension() == ".gguf" ? Tokenizer::from_gguf(qlora::formats::GgufFile(path)) : Tokenizer::load(path);
    std::ifstream in(texts, std::ios::binary);
    std::string all{std::istreambuf_iterator<char>(in), {}};
    std::ofstream out(to, std::ios::binary);
    for (std::size_t at = 0; at + 4 <= all.size();) {
        std::uint32_t size;
        std::memcpy(&size, all.data() + at, sizeof size);
        auto ids = tokenizer->encode(std::string_view(all).substr(at + 4, size),
                                     {.add_special = !literal, .parse_special = !literal}).ids;
        put(out, ids.data(), ids.size() * sizeof ids[0], static_cast<std::uint32_t>(ids.size()));
        for (bool skip_special : {false, true}) {
            std::string text = tokenizer->decode(ids, skip_special);
            put(out, text.data(), text.size(), static_cast<std::uint32_t>(text.size()));
        }
        at += 4 + size;
    }
    return out.good() ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
    if (count < 4) return 2;
    try {
        return run(arguments[1], arguments[2], arguments[3], count > 4);
    } catch (const qlora::Error& error) {
        std::cerr << error.code() << ": " << error.message() << "\n";
        return 1;
    }
}
