#pragma once
// Engine work on a background thread, answered on the thread that owns the Task (the UI thread).

#include <QObject>
#include <QString>
#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "core/base/control.h"
#include "core/base/error.h"

namespace qlora::ui {

// What the work sees of its owner. Used on the working thread only.
class Worker {
  public:
    virtual ~Worker() = default;
    virtual Control& control() = 0;
    // Queues `answer` for the owner's thread, in order; it is dropped when the work was cancelled or replaced meanwhile.
    virtual void post(std::function<void()> answer) = 0;
    // The Progress to hand to the engine; reaches progressed() at most 20 times a second.
    virtual Progress progress() = 0;
};

// One piece of work at a time. All methods belong to the owner's thread and none waits for the work, but the
// destructor: it asks the work to stop and joins it (the engine answers within a second). A new start() replaces the
// running work, whose later answers never arrive.
class Task : public QObject {
    Q_OBJECT

  public:
    using Work = std::function<void(Worker&)>;

    explicit Task(QObject* parent = nullptr);
    ~Task() override;

    void start(Work work);
    void cancel();  // cancelled() follows at once
    void stop();    // asks the engine to stop, but keeps its answers: finished() follows
    bool running() const { return job_ != nullptr; }

  signals:
    void started();
    void progressed(const QString& what, double done, double total);  // total 0: unknown
    void failed(const qlora::Error& error);  // instead of finished(), after the work threw
    void cancelled();
    void finished();

  private:
    struct Job;
    void retire();
    void reap(quint64 number);

    std::unique_ptr<Job> job_;                   // the current work
    std::vector<std::unique_ptr<Job>> retired_;  // cancelled or replaced, still on their way out
    quint64 next_number_ = 1;
};

}  // namespace qlora::ui
