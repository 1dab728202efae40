#pragma once
// The run store as requests and queued signals: lists, renames and deletes runs in the background, in the order asked.

#include <QObject>
#include <vector>

#include "core/base/error.h"
#include "ui/models/runs_model.h"

namespace qlora::ui {

// UI thread only. Each request is followed by listed() with the whole list, newest run first; failed() tells which
// one of them went wrong, and why.
class RunsService : public QObject {
    Q_OBJECT

  public:
    using QObject::QObject;

    virtual void refresh() = 0;
    virtual void rename(qint64 id, const QString& name) = 0;
    virtual void remove(qint64 id) = 0;  // the entry and what the run wrote

  signals:
    void listed(const std::vector<qlora::ui::RunEntry>& entries);
    void failed(const qlora::Error& error);
};

}  // namespace qlora::ui
