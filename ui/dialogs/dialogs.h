#pragma once
// The seam for every question the window asks outside its pages: file choosers and confirmations. Tests set the
// next answers instead. UI thread only.

#include <QString>
#include <QStringList>

class QWidget;

namespace qlora::ui {

struct Question {
    QString title, text;        // plain text; the consequence is in it
    QStringList buttons;        // the last one does nothing ("Cancel")
    int dangerous = -1;         // index of a destructive button
};

class Dialogs {
  public:
    virtual ~Dialogs() = default;
    // Empty when the user cancels. `filter` as QFileDialog takes it: "Data sets (*.jsonl *.csv)".
    virtual QString open_file(QWidget* parent, const QString& title, const QString& folder, const QString& filter) = 0;
    virtual QString open_folder(QWidget* parent, const QString& title, const QString& folder) = 0;
    virtual QString save_file(QWidget* parent, const QString& title, const QString& proposed, const QString& filter) = 0;
    // Index of the button pressed; closing the dialog is the last one.
    virtual int ask(QWidget* parent, const Question& question) = 0;
};

// The desktop's own.
class SystemDialogs : public Dialogs {
  public:
    QString open_file(QWidget* parent, const QString& title, const QString& folder, const QString& filter) override;
    QString open_folder(QWidget* parent, const QString& title, const QString& folder) override;
    QString save_file(QWidget* parent, const QString& title, const QString& proposed, const QString& filter) override;
    int ask(QWidget* parent, const Question& question) override;
};

}  // namespace qlora::ui
