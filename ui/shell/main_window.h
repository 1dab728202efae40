#pragma once
// The one window: the rail of pages with the run's state at its foot, the device and the theme at the top
// right, the command palette, drag and drop, and what is kept between starts.

#include <QMainWindow>
#include <functional>
#include <optional>
#include <vector>

#include "ui/engine/engine.h"
#include "ui/models/command_model.h"

class QButtonGroup;
class QLabel;
class QPushButton;
class QSettings;
class QStackedWidget;

namespace qlora::theme {
class Theme;
}

namespace qlora::ui {

class ChatService;
class CommandPalette;
class DataPage;
class DatasetService;
class Dialogs;
class EvaluatePage;
class LatencyProbe;
class LivePage;
class LiveRun;
class RailButton;
class RecipeDraft;
class RunsPage;
class RunsService;
class SearchesView;
class SearchService;
class SegmentedControl;
class StatusFoot;
class Toast;
class TrainPage;

enum class Page { train, data, live, evaluate, runs };
inline constexpr int page_count = 5;
// "train", "data", ...; empty for an unknown name.
std::optional<Page> page_from_name(const QString& name);
QString page_name(Page page);

class MainWindow : public QMainWindow {
    Q_OBJECT

  public:
    // What the window works with; all outlive it.
    struct Parts {
        Engine& engine;
        DatasetService& datasets;
        RunsService& runs;
        ChatService& chat;
        SearchService& searches;
        Dialogs& dialogs;
        theme::Theme& theme;
        QSettings& settings;
    };
    explicit MainWindow(const Parts& parts);
    ~MainWindow() override;

    Page page() const;
    void show_page(Page page);
    void open_palette();
    void start_run();
    void toggle_pause();
    void show_searches();
    void set_up_search();  // its dialog
    void find_rate();      // the same

    RecipeDraft& draft() { return *draft_; }
    LiveRun& live_run() { return *run_; }
    TrainPage* train_page() const { return train_; }
    LivePage* live_page() const { return live_; }
    SearchesView* searches_view() const { return searches_; }
    LatencyProbe& latency() { return *latency_; }
    std::vector<Command> commands();

  protected:
    void closeEvent(QCloseEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    void dragEnterEvent(QDragEnterEvent* event) override;
    void dropEvent(QDropEvent* event) override;

  private:
    void make_pages();
    QWidget* make_rail();
    QWidget* make_top_bar();
    QWidget* make_banner();
    void connect_engine();
    void make_shortcuts();
    void restore();
    void save_state();
    void resume_run(const QString& folder);
    void look_at_run(const QString& folder);
    void offer_resume(const std::vector<runs::Run>& interrupted);
    void offer(const QString& text, std::function<void()> go_on);
    void connect_searches();
    void open_recipe(const QString& file, const QString& name);
    void refresh_busy();
    QString busy_text() const;  // what trains, so that nothing else can; empty: nothing
    void explain_page();

    Parts parts_;
    RecipeDraft* draft_;
    LiveRun* run_;
    QStackedWidget* stack_;
    QButtonGroup* rail_;
    std::vector<RailButton*> rail_buttons_;
    StatusFoot* foot_;
    QLabel* device_;
    SegmentedControl* scheme_;
    QWidget* banner_;
    QLabel* banner_text_;
    std::function<void()> banner_action_;
    bool search_offered_ = false;
    TrainPage* train_;
    DataPage* data_;
    LivePage* live_;
    EvaluatePage* evaluate_;
    RunsPage* runs_;
    SearchesView* searches_;
    CommandPalette* palette_;
    Toast* toast_;
    LatencyProbe* latency_;
    bool closing_ = false;
};

}  // namespace qlora::ui
