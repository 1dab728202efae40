#include "core/base/control.h"

#include "core/base/error.h"

namespace qlora {

void Control::pause() { paused_.store(true); }

void Control::resume() {
    std::lock_guard lock(mutex_);
    paused_.store(false);
    changed_.notify_all();
}

void Control::stop_and_save() {
    std::lock_guard lock(mutex_);
    auto none = Request::none;
    request_.compare_exchange_strong(none, Request::stop_and_save);
    changed_.notify_all();
}

void Control::stop() {
    std::lock_guard lock(mutex_);
    request_.store(Request::stop);
    changed_.notify_all();
}

void Control::check() const {
    if (request_.load() != Request::none) throw stopped();
}

Control::Request Control::wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !paused_.load() || request_.load() != Request::none; });
    return request_.load();
}

}  // namespace qlora
