#pragma once
// DatasetService over core/data: one task reads and reports, one fetches rows, one renders the chosen row, one
// makes its variants.

#include <memory>
#include <vector>

#include "ui/engine/dataset_service.h"
#include "ui/engine/task.h"

namespace qlora::ui {

class CoreDatasetService : public DatasetService {
    Q_OBJECT

  public:
    // Where paraphrases are written: as evaluate::use_device takes them.
    explicit CoreDatasetService(std::string device = "auto", int threads = 0, QObject* parent = nullptr);
    ~CoreDatasetService() override;

    void list() override;
    void open(const recipe::Recipe& recipe) override;
    void cancel() override;
    void read_rows(int first, int count) override;
    void describe(int row) override;
    void vary(const recipe::Recipe& recipe, int row, bool write) override;
    void cancel_varying() override;

  private:
    struct Loaded;
    struct Parted;
    struct Range {
        int first = 0, count = 0;
    };
    void read_waiting();

    const std::string device_;
    const int threads_;
    int varied_row_ = 0;  // that vary_task_ is about
    std::shared_ptr<const Loaded> loaded_;  // replaced whole, never changed: any thread may hold one
    std::shared_ptr<const Parted> parted_;  // the same
    std::vector<Range> waiting_;  // the newest last
    Task list_task_, open_task_, rows_task_, tokens_task_, vary_task_;
};

}  // namespace qlora::ui
