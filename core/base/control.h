#pragma once
// How a listener steers work that runs on another thread: pause, resume, stop-and-save, stop.

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>

namespace qlora {

// Any thread may ask; the working thread polls check() at least every 100 ms of its work.
class Control {
  public:
    enum class Request { none, stop_and_save, stop };

    void pause();
    void resume();
    void stop_and_save();
    void stop();
    Request request() const { return request_.load(); }
    bool paused() const { return paused_.load(); }

    // For the working thread, inside work that has nothing to save (loading, tokenizing, evaluating, generating):
    // throws stopped() on either stop request; does not wait for a pause.
    void check() const;
    // For the working thread between steps: waits while paused and no stop is asked for, then says what is asked.
    Request wait();

  private:
    std::atomic<Request> request_{Request::none};
    std::atomic<bool> paused_{false};
    std::mutex mutex_;
    std::condition_variable changed_;
};

// Reports how far a piece of work is: what is being done, units done, units in all (0: unknown). Called on the
// working thread, at most some 20 times a second.
using Progress = std::function<void(const char* what, double done, double total)>;

}  // namespace qlora
