// Tokenizers' speed in MB/s on a text of 10 MB, as one text and line by line; with the Python peers at hand also that of
// the tokenizers library on one thread, and the ratio.
//
// Processor time is what is measured, so that other work on the computer counts little.
//
// bench_tokenizer [--megabytes N] [FOLDER_OR_GGUF]...; without arguments: the embedded SmolLM2, all-MiniLM-L6-v2 (WordPiece), and the
// same vocabulary as a unigram model.

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/formats/gguf.h"
#include "core/tokenizer/tokenizer.h"

using namespace qlora;
namespace fs = std::filesystem;

namespace {


// Sentences in the words of a real data set, with a tail of rarer ones.
std::string text(std::size_t size) {
    std::vector<std::string> sentences;
    for (const auto& entry : fs::directory_iterator(fs::path(QLORA_SOURCE_DIR) / "resources/datasets")) {
        if (entry.path().extension() != ".jsonl") continue;
        std::ifstream in(entry.path());
        for (std::string line; std::getline(in, line);) {
            Json row = Json::parse(line);
            for (const auto& item : row.items())
                if (item.value().is_string()) sentences.push_back(item.value());
        }
    }
    for (const auto& entry : fs::directory_iterator(fs::path(QLORA_SOURCE_DIR) / "core/tokenizer")) {
        std::ifstream in(entry.path());
        for (std::string line; std::getline(in, line);) sentences.push_back(line);
    }
    std::string all;
    std::uint32_t state = 1;
    while (all.size() < size) {
        state = state * 1664525 + 1013904223;
        all += sentences[(state >> 8) % sentences.size()];
        if (state >> 28 == 0) all += " " + std::to_string(state);
        all += '\n';
    }
    return all;
}

template <class Work>
double seconds(Work work) {
    double best = 1e9;
    for (int i = 0; i < 3; ++i) {
        auto start = std::clock();
        work();
        best = std::min(best, static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
    }
    return best;
}

struct Speed {
    double whole = 0, lines = 0;  // MB/s
};

Speed ours(const tokenizer::Tokenizer& tokenizer, const std::string& all) {
    double megabytes = static_cast<double>(all.size()) / 1e6;
    double lines = seconds([&] {
        for (std::size_t at = 0; at < all.size();) {
            auto end = all.find('\n', at);
            tokenizer.encode(std::string_view(all).substr(at, end - at));
            at = end + 1;
        }
    });
    double whole = seconds([&] { tokenizer.encode(all); });
    return {megabytes / whole, megabytes / lines};
}

constexpr char script[] = R"(
import sys, time, tokenizers
t = tokenizers.Tokenizer.from_file(sys.argv[1])
t.no_truncation()
t.no_padding()
text = open(sys.argv[2], encoding="utf-8", newline="").read()
def best(work):
    times = []
    for _ in range(3):
        start = time.process_time(); work(); times.append(time.process_time() - start)
    return min(times)
lines = text.split("\n")[:-1]
megabytes = len(text.encode()) / 1e6
print(megabytes / best(lambda: t.encode(text)), megabytes / best(lambda: [t.encode(x) for x in lines]))
)";

Speed theirs(const fs::path& json, const fs::path& text, const fs::path& work) {
    fs::path python = fs::path(QLORA_DEPS_DIR) / "peers/bin/python", program = work / "speed.py";
    if (!fs::exists(python)) return {};
    std::ofstream(program) << script;
    std::string command = "RAYON_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false '" + python.string() + "' '" + program.string() + "' '" +
                          json.string() + "' '" + text.string() + "'";
    std::FILE* pipe = popen(command.c_str(), "r");
    Speed speed;
    if (!pipe || std::fscanf(pipe, "%lf %lf", &speed.whole, &speed.lines) != 2) speed = {};
    if (pipe) pclose(pipe);
    return speed;
}

void report(const std::string& name, const tokenizer::Tokenizer& tokenizer, const fs::path& json, const std::string& all, const fs::path& work) {
    Speed us = ours(tokenizer, all), them = theirs(json, work / "text.txt", work);
    for (auto [how, a, b] : {std::tuple("one text", us.whole, them.whole), std::tuple("lines", us.lines, them.lines)}) {
        std::printf("%-24s %-9s %7.2f MB/s", name.c_str(), how, a);
        if (b > 0) std::printf("   tokenizers library %7.2f MB/s   ratio %5.2f", b, a / b);
        std::printf("\n");
    }
    std::fflush(stdout);
}

void write_json(const tokenizer::Tokenizer& tokenizer, const fs::path& folder) {
    fs::create_directories(folder);
    for (const auto& [name, content] : tokenizer.files()) write_atomically(folder / name, content);
}

// The words of a WordPiece vocabulary as a unigram model: pieces of words without a prefix, starts of words with U+2581.
Json unigram_of(const Json& json) {
    Json vocab = Json::array({Json::array({"<unk>", 0.0})});
    for (const auto& [token, id] : json["model"]["vocab"].items()) {
        bool inside = token.starts_with("##");
        vocab.push_back(Json::array({inside ? token.substr(2) : "\xE2\x96\x81" + token, -5 - std::log(2.0 + id.get<int>()) - (inside ? 1 : 0)}));
    }
    vocab.push_back(Json::array({"\xE2\x96\x81", -14.0}));
    Json metaspace = {{"type", "Metaspace"}, {"replacement", "\xE2\x96\x81"}, {"prepend_scheme", "always"}, {"split", true}};
    return {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}, {"added_tokens", Json::array()}, {"normalizer", {{"type", "NFKC"}}},
            {"pre_tokenizer", metaspace}, {"post_processor", nullptr}, {"decoder", metaspace},
            {"model", {{"type", "Unigram"}, {"unk_id", 0}, {"vocab", vocab}, {"byte_fallback", false}}}};
}

}  // namespace

int main(int count, char** arguments) {
    try {
        fs::path work = fs::temp_directory_path() / ("tokenizer_bench." + std::to_string(::getpid()));
        fs::create_directories(work);
        std::vector<fs::path> paths(arguments + 1, arguments + count);
        std::size_t megabytes = 10;
        if (paths.size() >= 2 && paths[0] == "--megabytes") {
            megabytes = std::stoul(paths[1].string());
            paths.erase(paths.begin(), paths.begin() + 2);
        }
        std::string all = text(megabytes * 1'000'000);
        write_atomically(work / "text.txt", all);
        fs::path models = fs::path(QLORA_DEPS_DIR) / "models";
        if (paths.empty()) paths = {models / "smollm2-135m.gguf", models / "all-minilm-l6-v2"};
        for (const auto& path : paths) {
            if (!fs::exists(path)) {
                std::printf("%s is not there\n", path.c_str());
                continue;
            }
            auto loaded = path.extension() == ".gguf" ? tokenizer::Tokenizer::from_gguf(formats::GgufFile(path)) : tokenizer::Tokenizer::load(path);
            write_json(*loaded, work / "model");
            report(path.filename().string(), *loaded, work / "model/tokenizer.json", all, work);
            Json json = Json::parse(read_file(work / "model/tokenizer.json", std::size_t{1} << 30));
            if (json["model"]["type"] == "WordPiece") {
                fs::create_directories(work / "unigram");
                write_atomically(work / "unigram/tokenizer.json", unigram_of(json).dump());
                report("the same as unigram", *tokenizer::Tokenizer::load(work / "unigram"), work / "unigram/tokenizer.json", all, work);
            }
            fs::remove_all(work / "model");
        }
        fs::remove_all(work);
        return 0;
    } catch (const Error& error) {
        std::fprintf(stderr, "%s: %s\n", error.code().c_str(), error.message().c_str());
        return 1;
    }
}
