#pragma once
// Searches and the learning-rate range test as requests and queued signals: both train in the background, one at a time.

#include <QObject>
#include <QString>
#include <vector>

#include "core/base/error.h"
#include "core/search/folder.h"
#include "core/search/rate_test.h"

namespace qlora::ui {

// How far the search that runs is, for one line of text.
struct SearchProgress {
    QString folder;
    std::int64_t trial = 0, trials = 0;
    std::size_t rung = 0, rungs = 1;
    std::int64_t step = 0, steps = 0;  // of the trial; 0: it loads
    double loss = 0;
};

// UI thread only; nothing here blocks.
class SearchService : public QObject {
    Q_OBJECT

  public:
    using QObject::QObject;

    virtual void refresh() = 0;  // listed() follows
    // Begins a search in a new folder of the program's home, or goes on with one. Ignored while something trains here.
    virtual void begin(const search::Search& search) = 0;
    virtual void go_on(const QString& folder) = 0;
    // Saves the trial that runs; the search can go on later.
    virtual void stop() = 0;
    virtual void test_rates(const recipe::Recipe& recipe, const search::RateTest& test) = 0;
    virtual void stop_test() = 0;
    virtual bool searching() const = 0;
    virtual bool testing() const = 0;
    bool busy() const { return searching() || testing(); }

  signals:
    void listed(const std::vector<qlora::search::Standing>& searches);  // the newest first; also after every change of a trial
    void began(const QString& folder);
    void progressed(const qlora::ui::SearchProgress& progress);
    void ended(const qlora::search::Ended& ended);
    void failed(const qlora::Error& error);
    void busy_changed();
    void rate_point(const qlora::search::RatePoint& point);
    void rate_told(const QString& what, double done, double total);  // before the first step
    void rates_ready(const qlora::search::RateCurve& curve);
    void rates_failed(const qlora::Error& error);
};

}  // namespace qlora::ui
