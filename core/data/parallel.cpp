#include "core/data/parallel.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "core/data/pace.h"

namespace qlora::data::detail {

namespace {

class Crew {
  public:
    Crew(std::size_t count, const std::function<void(std::size_t)>& work)
        : count_(count), work_(work), limit_(count) {}

    void run(std::size_t threads, Pace& pace) {
        std::vector<std::jthread> crew;
        for (std::size_t i = 0; i < threads; ++i) crew.emplace_back([this] { take_turns(); });
        try {
            std::unique_lock lock(mutex_);
            while (finished_ < crew.size()) {
                changed_.wait_for(lock, std::chrono::milliseconds(50));
                pace.at(static_cast<double>(std::min(next_.load(), count_)));
            }
        } catch (...) {
            limit_ = 0;
            throw;
        }
        if (error_) std::rethrow_exception(error_);
    }

  private:
    static constexpr std::size_t turn = 8;  // indices a thread takes at once

    void take_turns() {
        for (;;) {
            std::size_t begin = next_.fetch_add(turn);
            // Work below a failing index goes on, so that the lowest failure is the one reported.
            for (std::size_t i = begin; i < std::min(begin + turn, limit_.load()); ++i) attempt(i);
            if (begin + turn >= limit_) break;
        }
        std::lock_guard lock(mutex_);
        ++finished_;
        changed_.notify_all();
    }

    void attempt(std::size_t index) {
        try {
            work_(index);
        } catch (...) {
            std::lock_guard lock(mutex_);
            if (index >= limit_) return;
            limit_ = index;
            error_ = std::current_exception();
        }
    }

    std::size_t count_;
    const std::function<void(std::size_t)>& work_;
    std::atomic<std::size_t> next_{0}, limit_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::size_t finished_ = 0;
    std::exception_ptr error_;
};

}  // namespace

void parallel_for(std::size_t count, int threads, const Control* control, const Progress& progress,
                  const char* what, const std::function<void(std::size_t)>& work) {
    Pace pace(control, progress, what, static_cast<double>(count));
    pace.at(0);
    if (count == 0) return;
    std::size_t cores =
        threads > 0 ? static_cast<std::size_t>(threads) : std::max(1u, std::thread::hardware_concurrency());
    Crew(count, work).run(std::min(cores, (count + 7) / 8), pace);
    pace.finish();
}

}  // namespace qlora::data::detail
