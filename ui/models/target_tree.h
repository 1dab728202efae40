#pragma once
// A model's linear layers with check boxes, to choose those that get an adapter: stacks of blocks, in them one line a kind
// of layer ("self_attn.q_proj ×30"), in it the single layers. Names are transformers'. UI thread only.

#include <QAbstractItemModel>
#include <memory>
#include <string>
#include <vector>

#include "core/nn/model_info.h"

namespace qlora::ui {

class TargetTree : public QAbstractItemModel {
    Q_OBJECT

  public:
    enum Column { layer_column, shape_column, parameters_column, column_count };
    enum Role {
        NameRole = Qt::UserRole + 1,  // QString: the module's whole name, of a single layer; of others empty
        ParametersRole,               // qint64: what its chosen layers add
    };

    // `rank`: of the adapters, for the figures.
    TargetTree(const std::vector<nn::LinearInfo>& linears, std::int64_t rank, QObject* parent = nullptr);
    ~TargetTree() override;

    // As in a recipe. False, and nothing changes, when an entry selects none of the layers.
    bool choose(const std::vector<std::string>& entries);
    void choose_attention();  // the layers of modules named for attention
    void choose_none();

    // The shortest list of PEFT target_modules that selects exactly the chosen layers: all-linear, the shortest endings
    // that fit whole kinds, else whole names.
    std::vector<std::string> entries() const;
    std::size_t chosen() const;                // layers
    std::size_t layers() const { return linears_.size(); }
    std::int64_t added_parameters() const;

    QModelIndex index(int row, int column, const QModelIndex& parent = {}) const override;
    QModelIndex parent(const QModelIndex& child) const override;
    int rowCount(const QModelIndex& parent = {}) const override;
    int columnCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
    bool setData(const QModelIndex& index, const QVariant& value, int role = Qt::EditRole) override;
    QVariant headerData(int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;
    Qt::ItemFlags flags(const QModelIndex& index) const override;

  signals:
    void choice_changed();

  private:
    struct Node;
    Node& node(const QModelIndex& index) const;
    std::vector<std::string> names() const;
    void set_chosen(const std::vector<bool>& chosen);
    std::size_t chosen_in(const Node& node) const;
    std::int64_t parameters_in(const Node& node) const;
    QString shape(const Node& node) const;
    void tell(const QModelIndex& parent);

    std::vector<nn::LinearInfo> linears_;
    std::vector<bool> chosen_;  // one a layer
    std::int64_t rank_;
    std::unique_ptr<Node> root_;
};

}  // namespace qlora::ui
