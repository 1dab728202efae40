#pragma once
// A run's events as the command line shows them: JSON lines, or for people a line a step.

#include "app/qlora/live_line.h"
#include "app/qlora/output.h"
#include "core/base/control.h"
#include "core/events/events.h"

namespace qlora::cli {

class TrainLog {
  public:
    // A reader of stdout that goes away stops the run, with saving.
    TrainLog(Output& output, Control& control) : output_(output), control_(control), live_(!output.json()) {}
    void operator()(const train::Event& event);  // on the training thread

  private:
    void show(const train::Progressed& event);
    void show(const train::Loaded& event);
    void show(const train::StepDone& event);
    void show(const train::Evaluated& event);
    void show(const train::Checkpointed& event);
    void show(const train::MemorySample&) {}
    void show(const train::Notice& event);
    void show(const train::Finished& event);
    void show(const train::Failed&) {}  // told by whoever ran it, as any error
    void say(const std::string& text);  // a line that stays

    Output& output_;
    Control& control_;
    LiveLine live_;
    std::int64_t steps_ = 0, first_step_ = 0;
    double step_seconds_ = 0;
};

}  // namespace qlora::cli
