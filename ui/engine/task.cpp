#include "ui/engine/task.h"

#include <algorithm>
#include <chrono>
#include <new>
#include <optional>

#include "core/base/out_of_memory.h"

namespace qlora::ui {

namespace {

constexpr auto progress_interval = std::chrono::milliseconds(50);

// The typed error of whatever the work threw; empty when the user stopped it.
std::optional<Error> caught() {
    try {
        throw;
    } catch (const Error& error) {
        if (error.kind() == Error::Kind::stopped) return {};
        return error;
    } catch (const std::bad_alloc&) {
        return failure("memory.exhausted", "this computer", "there is not enough memory for this",
                       "Close other programs, or choose a smaller model or shorter rows.");
    } catch (const std::exception& error) {
        if (auto memory = out_of_device_memory(error)) return memory;
        return failure("unexpected", "the engine", error.what());
    }
}

}  // namespace

struct Task::Job : Worker {
    Job(Task* owner, quint64 number) : owner(owner), number(number) {}

    Control& control() override { return steering; }

    void post(std::function<void()> answer) override {
        // The destructor of Task joins this thread, so the owner outlives the call; the owner's event queue drops
        // what is still waiting when it goes.
        QMetaObject::invokeMethod(
            owner,
            [this, answer = std::move(answer)] {
                if (owner->job_.get() == this) answer();
            },
            Qt::QueuedConnection);
    }

    Progress progress() override {
        return [this](const char* what, double done, double total) {
            const auto now = std::chrono::steady_clock::now();
            if (now - told < progress_interval && done < total) return;
            told = now;
            post([this, text = QString::fromUtf8(what), done, total] { emit owner->progressed(text, done, total); });
        };
    }

    Task* const owner;
    const quint64 number;
    Control steering;
    std::chrono::steady_clock::time_point told{};
    std::jthread thread;
};

Task::Task(QObject* parent) : QObject(parent) {}

Task::~Task() {
    retire();
    for (auto& job : retired_) job->thread.join();
}

void Task::start(Work work) {
    retire();
    job_ = std::make_unique<Job>(this, next_number_++);
    Job* job = job_.get();
    job->thread = std::jthread([this, job, number = job->number, work = std::move(work)] {
        std::optional<Error> error;
        try {
            work(*job);
        } catch (...) {
            error = caught();
        }
        job->post([this, error] {
            retire();
            if (error)
                emit failed(*error);
            else
                emit finished();
        });
        QMetaObject::invokeMethod(this, [this, number] { reap(number); }, Qt::QueuedConnection);
    });
    emit started();
}

void Task::cancel() {
    if (!job_) return;
    retire();
    emit cancelled();
}

void Task::stop() {
    if (job_) job_->steering.stop();
}

void Task::retire() {
    if (!job_) return;
    job_->steering.stop();
    retired_.push_back(std::move(job_));
}

void Task::reap(quint64 number) {
    auto found = std::ranges::find_if(retired_, [number](const auto& job) { return job->number == number; });
    if (found == retired_.end()) return;
    (*found)->thread.join();
    retired_.erase(found);
}

}  // namespace qlora::ui
