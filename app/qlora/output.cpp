#include "app/qlora/output.h"

#include <cstdio>

namespace qlora::cli {

namespace {

bool put(std::FILE* stream, std::string_view text) {
    return std::fwrite(text.data(), 1, text.size(), stream) == text.size() && std::fflush(stream) == 0;
}

void require(bool written) {
    if (!written)
        throw failure("output", "stdout", "cannot write the answer: the disk is full or the reader has gone");
}

}  // namespace

std::string plain(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        auto byte = static_cast<unsigned char>(text[i]);
        // C1 controls, U+0080 to U+009F, are two bytes: 0xC2 and the code.
        bool c1 = byte == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0;
        if ((byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7F || c1) {
            out += "\xEF\xBF\xBD";
            i += c1;
        } else {
            out += text[i];
        }
    }
    return out;
}

void Output::answer(const OrderedJson& json, std::string_view text) {
    if (json_) return require(line(json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace)));
    std::string out = plain(text);
    if (!out.ends_with('\n')) out += '\n';
    require(put(stdout, out));
}

bool Output::line(std::string_view json) {
    return put(stdout, std::string(json) + "\n");
}

void Output::piece(std::string_view text) {
    require(put(stdout, plain(text)));
}

void Output::note(std::string_view text) {
    put(stderr, plain(text) + "\n");
}

int Output::error(const Error& error) noexcept {
    try {
        if (json_)
            line(OrderedJson{{"error", to_json(error)}}.dump(-1, ' ', false,
                                                             OrderedJson::error_handler_t::replace));
        else
            note(error.message() + (error.hint().empty() ? "" : "\n" + error.hint()));
    } catch (const std::exception&) {
        std::fputs("qlora: out of memory\n", stderr);
    }
    return error.exit_code();
}

OrderedJson to_json(const Error& error) {
    return {{"code", error.code()},
            {"message", error.message()},
            {"where", error.where()},
            {"hint", error.hint()}};
}

}  // namespace qlora::cli
