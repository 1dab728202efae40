#pragma once
// SearchService over core/search and the real engine.

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "ui/engine/search_service.h"
#include "ui/engine/task.h"

namespace qlora::ui {

class CoreSearchService : public SearchService {
    Q_OBJECT

  public:
    struct Options {
        std::filesystem::path home;
        std::string device = "auto";
        int threads = 0;
    };
    explicit CoreSearchService(Options options, QObject* parent = nullptr);
    ~CoreSearchService() override;  // what trains is saved and joined

    void refresh() override;
    void begin(const search::Search& search) override;
    void go_on(const QString& folder) override;
    void stop() override;
    void test_rates(const recipe::Recipe& recipe, const search::RateTest& test) override;
    void stop_test() override;
    bool searching() const override { return searching_; }
    bool testing() const override { return testing_; }

  private:
    // `place` gives the folder, on the working thread.
    void run(std::function<std::filesystem::path()> place);
    void set_busy(bool searching, bool testing);

    const Options options_;
    std::shared_ptr<Control> control_;  // of what trains
    bool searching_ = false, testing_ = false;
    Task list_task_, search_task_, rate_task_;
};

}  // namespace qlora::ui
