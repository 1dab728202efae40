#pragma once
// The runs of the store as a list, newest first. UI thread only; nothing here reads a file.

#include <QAbstractListModel>
#include <QList>
#include <vector>

#include "core/runs/store.h"

namespace qlora::ui {

// A run and what its folder holds: made by RunsService in the background.
struct RunEntry {
    runs::Run run;
    QList<double> losses;  // of training, thinned out for a sparkline; NaN: a skipped step
    int checkpoints = 0;
    bool has_adapter = false;
    bool operator==(const RunEntry&) const;
};

class RunsModel : public QAbstractListModel {
    Q_OBJECT

  public:
    enum Role {
        IdRole = Qt::UserRole + 1,  // qint64
        StatusRole,                 // "completed", ... as the store has it
        SubtitleRole,               // "SmolLM2 135M · banking-support · NF4 · LoRA r 16"
        LossesRole,                 // QList<double>
        BestLossRole,               // text, "–" when there is none
        StepsRole,                  // "104 / 156"
        TimeRole,                   // "2 min 10 s"
        SizeRole,                   // "41.2 MB"
        CreatedRole,                // "today 14:05"
        SearchRole,                 // all that a filter looks through
    };

    using QAbstractListModel::QAbstractListModel;

    // Takes a fresh list with as few changes as it needs, so that selection and scroll position stay.
    void set_entries(std::vector<RunEntry> entries);
    const RunEntry* entry(const QModelIndex& index) const;  // valid until the next set_entries(); null: none
    const std::vector<RunEntry>& entries() const { return entries_; }
    QModelIndex index_of(std::int64_t id) const;

    int rowCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
    bool setData(const QModelIndex& index, const QVariant& value, int role = Qt::EditRole) override;
    Qt::ItemFlags flags(const QModelIndex& index) const override;

  signals:
    void rename_requested(qint64 id, const QString& name);  // a name typed into the view; set_entries() brings it back

  private:
    std::vector<RunEntry> entries_;
};

// Words for people; the status as the store has it.
QString status_text(const std::string& status);
// What deleting costs: "Delete “banking r16” and its 3 checkpoints (41.2 MB)?"
QString delete_question(const RunEntry& entry);

}  // namespace qlora::ui
