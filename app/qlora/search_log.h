#pragma once
// A search's events as the command line shows them: JSON lines, or for people a line a run.

#include "app/qlora/live_line.h"
#include "app/qlora/output.h"
#include "core/base/control.h"
#include "core/search/events.h"

namespace qlora::cli {

class SearchLog {
  public:
    // A reader of stdout that goes away stops the search, with saving.
    SearchLog(Output& output, Control& control, std::string metric)
        : output_(output), control_(control), live_(!output.json()), metric_(std::move(metric)) {}
    void operator()(const search::Event& event);  // on the search's thread

  private:
    void show(const search::TrialStarted& event);
    void show(const search::TrialTold& event);
    void show(const search::TrialEnded& event);
    void show(const search::Best& event);
    void show(const search::Ended&) {}  // the table says it
    void say(const std::string& text);

    Output& output_;
    Control& control_;
    LiveLine live_;
    const std::string metric_;
    std::int64_t steps_ = 0;
};

// "learning_rate 3.1e-4, rank 8"
std::string values_text(const search::Values& values);
// The trials, the best first, those without a figure last.
std::string trials_table(const search::Search& search, const std::vector<search::Trial>& trials);

}  // namespace qlora::cli
