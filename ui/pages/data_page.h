#pragma once
// The data set of the recipe: its rows, which column plays which part, and each row as the model will see it.

#include <QWidget>
#include <vector>

#include "core/hub/catalogue.h"
#include "ui/engine/dataset_service.h"

class QMenu;
class QPushButton;
class QStackedWidget;
class QTableView;

namespace qlora::ui {

class DataFigures;
class DataRoles;
class Dialogs;
class ElidedLabel;
class ErrorPanel;
class ProgressStrip;
class SegmentedControl;
class TokenLegend;
class TokenStrip;
class VariantList;

class DataPage : public QWidget {
    Q_OBJECT

  public:
    // Both outlive the page.
    DataPage(DatasetService& service, Dialogs& dialogs, QWidget* parent = nullptr);

    // The recipe being edited. The data is read when the page is first shown with it.
    void set_recipe(const recipe::Recipe& recipe);
    // A path or a catalogue id; `held_out` may be empty.
    void choose(const QString& source, const QString& held_out = {});
    void set_busy(const QString& why_not);  // why the model cannot be used now; empty: it can

  signals:
    void data_edited(const qlora::recipe::Data& data);

  protected:
    void showEvent(QShowEvent* event) override;
    void dragEnterEvent(QDragEnterEvent* event) override;
    void dropEvent(QDropEvent* event) override;

  private:
    QWidget* make_heading();
    QWidget* make_content();
    void connect_service();
    void fill_menu(const std::vector<hub::CatalogueData>& datasets);
    void browse();
    void edit(const std::function<void(recipe::Data&)>& change);
    void read();
    void size_columns();
    void row_chosen();
    void show_tokens(int row, const std::vector<data::TokenView>& tokens);
    void show_error(const Error& error);
    void show_part(int part);  // tokens or variants of the chosen row
    void ask_variants(bool write);
    void forget_variants();

    DatasetService& service_;
    Dialogs& dialogs_;
    recipe::Recipe recipe_;
    bool stale_ = true, tokens_ready_ = false;
    int row_ = -1;
    QString opened_;  // the source on show

    DatasetModel* model_;
    ElidedLabel *source_, *token_title_, *token_status_;
    QPushButton* choose_;
    QMenu* menu_;
    ProgressStrip* progress_;
    ErrorPanel* error_;
    QStackedWidget* stack_;
    DataRoles* roles_;
    SegmentedControl* filter_;
    QTableView* table_;
    SegmentedControl* part_;
    QStackedWidget* parts_;
    TokenLegend* legend_;
    TokenStrip* tokens_;
    VariantList* variants_;
    DataFigures* figures_;
};

}  // namespace qlora::ui
