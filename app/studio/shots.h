#pragma once
// Draws every page in both themes, from the real window with a real run, for the README and for looking at.

#include <QObject>
#include <QString>

namespace qlora::theme {
class Theme;
}
namespace qlora::ui {
class MainWindow;
}

namespace qlora::studio {

class Shots : public QObject {
    Q_OBJECT

  public:
    // `steps` above 0: trains that long first, so that the pages have something to show.
    Shots(ui::MainWindow& window, theme::Theme& theme, QString folder, int steps);
    void start();  // ends the application: 0, or 1 when the run failed or a picture could not be written

  private:
    void wait_for_facts();
    void draw();
    void finish_scene();

    ui::MainWindow& window_;
    theme::Theme& theme_;
    QString folder_;
    int steps_;
    std::size_t next_ = 0;
    bool waits_ = false;  // for the range test
};

}  // namespace qlora::studio
