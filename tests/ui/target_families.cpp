// The target picker over the layers of every golden family, as the engine names them.
#include "tests/torch_tests.h"

#include <filesystem>

#include "core/adapters/targets.h"
#include "core/nn/model_info.h"
#include "ui/models/target_tree.h"

using namespace qlora;
using namespace qlora::ui;

class TargetFamiliesTest : public QObject {
    Q_OBJECT

  private slots:
    void each_kind_alone_is_selected_exactly_data() {
        QTest::addColumn<QString>("folder");
        for (const auto& entry : std::filesystem::directory_iterator(golden("families")))
            QTest::newRow(entry.path().filename().c_str()) << QString::fromStdString(entry.path().string());
    }
    void each_kind_alone_is_selected_exactly() {
        QFETCH(QString, folder);
        const auto info = nn::inspect(folder.toStdString());
        QVERIFY(!info.linears.empty());
        std::vector<std::string> names;
        for (const auto& linear : info.linears) names.push_back(linear.name);
        TargetTree tree(info.linears, 4);
        QVERIFY(tree.choose({"all-linear"}));
        QCOMPARE(tree.entries(), std::vector<std::string>{"all-linear"});
        tree.choose_attention();
        QVERIFY(tree.chosen() > 0 && tree.chosen() < names.size());
        std::size_t kinds = 0;
        for (int stack = 0; stack < tree.rowCount(); ++stack) {
            const QModelIndex parent = tree.index(stack, 0);
            for (int row = 0; row < tree.rowCount(parent); ++row, ++kinds) {
                const QModelIndex kind = tree.index(row, 0, parent);
                tree.choose_none();
                QVERIFY(tree.setData(kind, Qt::Checked, Qt::CheckStateRole));
                std::vector<std::string> checked;
                for (int layer = 0; layer < tree.rowCount(kind); ++layer)
                    checked.push_back(tree.index(layer, 0, kind).data(TargetTree::NameRole).toString().toStdString());
                QCOMPARE(adapters::select_targets(names, tree.entries()), checked);
                QVERIFY(!checked.empty() && tree.added_parameters() > 0);
            }
        }
        QVERIFY(kinds >= 4);
    }
};

QTEST_GUILESS_MAIN(TargetFamiliesTest)
#include "target_families.moc"
