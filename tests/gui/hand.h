#pragma once
// A person at the window: the X server's mouse and keyboard, and finding things by what they are called.

#include <QAbstractButton>
#include <QProcess>
#include <QSettings>
#include <QStringList>
#include <QTemporaryDir>
#include <QTest>
#include <QWidget>

#include "ui/dialogs/dialogs.h"
#include "ui/engine/core_chat_service.h"
#include "ui/engine/core_dataset_service.h"
#include "ui/engine/core_engine.h"
#include "ui/engine/core_runs_service.h"
#include "ui/engine/core_search_service.h"
#include "ui/shell/main_window.h"
#include "ui/theme/theme.h"

namespace qlora::ui {

inline constexpr int wheel_down = 5;
class NoDialogs : public Dialogs {
  public:
    QString open_file(QWidget*, const QString&, const QString&, const QString&) override { return {}; }
    QString open_folder(QWidget*, const QString&, const QString&) override { return {}; }
    QString save_file(QWidget*, const QString&, const QString&, const QString&) override { return {}; }
    int ask(QWidget*, const Question&) override { return 0; }
};

// The program over a home of its own, its window 1280 pixels wide.
struct Studio {
    std::string home;
    QSettings settings;
    CoreEngine engine{{home}};
    CoreDatasetService datasets;
    CoreRunsService runs{home};
    CoreChatService chat;
    CoreSearchService searches{{home}};
    NoDialogs dialogs;
    MainWindow window;

    Studio(const QTemporaryDir& folder, theme::Theme& theme)
        : home(folder.path().toStdString()), settings(folder.filePath("studio.ini"), QSettings::IniFormat),
          window({engine, datasets, runs, chat, searches, dialogs, theme, settings}) {
        window.resize(1280, 720);
        window.show();
    }
};

// The X server's mouse and keyboard.
inline bool hand(const QStringList& arguments) {
    QProcess process;
    process.start("xdotool", arguments);
    while (process.state() != QProcess::NotRunning) QTest::qWait(5);
    QTest::qWait(50);  // for the events to arrive
    return process.exitStatus() == QProcess::NormalExit && process.exitCode() == 0;
}

inline bool point_at(const QWidget& widget) {
    const QPoint at = widget.mapToGlobal(widget.visibleRegion().boundingRect().center());
    return hand({"mousemove", QString::number(at.x()), QString::number(at.y())});
}

inline bool click(const QWidget& widget, int times = 1) {
    return point_at(widget) && hand({"click", "--repeat", QString::number(times), "--delay", "60", "1"});
}

inline bool type(const QString& text) { return hand({"type", "--delay", "15", text}); }
inline bool press(const QString& key) { return hand({"key", key}); }

inline bool drawn(const QWidget& widget) {
    return widget.isVisible() && widget.visibleRegion().boundingRect().height() > widget.height() / 2;
}

// What a person would call it: a button's text or the name that a screen reader tells.
inline QWidget* find(const QWidget& in, const QString& name) {
    for (auto* widget : in.findChildren<QWidget*>()) {
        const auto* button = qobject_cast<QAbstractButton*>(widget);
        if (widget->isVisible() && (widget->accessibleName() == name || (button && button->text() == name))) return widget;
    }
    return nullptr;
}

}  // namespace qlora::ui
