#include "app/qlora/signals.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "core/base/error.h"

namespace qlora::cli {

namespace {

std::atomic<int> write_end{-1};  // all that the handler may touch
static_assert(std::atomic<int>::is_always_lock_free);

void send(char what) {
    int before = errno;
    ssize_t ignored = ::write(write_end.load(), &what, 1);
    (void)ignored;
    errno = before;
}

void on_signal(int) {
    send('s');
}

void handle(int signal, void (*handler)(int)) {
    struct sigaction action {};
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    ::sigaction(signal, &action, nullptr);
}

}  // namespace

SignalWatch::SignalWatch(Control& control) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw failure("signals", "pipe", errno_text(errno));
    read_end_ = ends[0];
    write_end.store(ends[1]);
    watcher_ = std::thread([this, &control] { watch(control); });
    for (int signal : {SIGINT, SIGTERM, SIGHUP}) handle(signal, on_signal);
    handle(SIGPIPE, SIG_IGN);  // a reader that goes away is an error of writing, not the end of a run
}

SignalWatch::~SignalWatch() {
    for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) handle(signal, SIG_DFL);
    send('q');
    watcher_.join();
    ::close(write_end.exchange(-1));
    ::close(read_end_);
}

void SignalWatch::watch(Control& control) const {
    char what = 0;
    for (int signals = 0; ::read(read_end_, &what, 1) == 1 && what == 's';) {
        ++signals;
        if (signals == 1) control.stop_and_save();
        if (signals == 2) control.stop();
        if (signals == 3) ::_exit(130);
    }
}

}  // namespace qlora::cli
