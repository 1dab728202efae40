#include "app/qlora/live_line.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>

#include "app/qlora/format.h"
#include "app/qlora/output.h"

namespace qlora::cli {

namespace {

std::size_t terminal_width() {
    winsize size{};
    return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1u : 79u;
}

// At most `width` characters of UTF-8.
std::string cut(const std::string& text, std::size_t width) {
    std::size_t characters = 0;
    for (std::size_t i = 0; i < text.size(); ++i)
        if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80 && ++characters > width)
            return text.substr(0, i);
    return text;
}

}  // namespace

LiveLine::LiveLine(bool wanted) : terminal_(wanted && ::isatty(STDERR_FILENO) == 1) {}

void LiveLine::show(const std::string& text) {
    if (!terminal_) return;
    std::fputs(("\r\x1b[K" + cut(plain(text), terminal_width())).c_str(), stderr);
    std::fflush(stderr);
    written_ = true;
}

void LiveLine::clear() {
    if (!written_) return;
    std::fputs("\r\x1b[K", stderr);
    std::fflush(stderr);
    written_ = false;
}

Progress LiveLine::progress() {
    return [this](const char* what, double done, double total) {
        auto now = std::chrono::steady_clock::now();
        if (!terminal_ || now - last_ < std::chrono::milliseconds(100)) return;
        last_ = now;
        show(total > 0 ? std::string(what) + " " + fixed(100 * done / total, 0) + " %" : what);
    };
}

}  // namespace qlora::cli
