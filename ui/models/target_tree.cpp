#include "ui/models/target_tree.h"

#include <algorithm>
#include <set>

#include "core/adapters/targets.h"
#include "core/base/error.h"
#include "ui/format/format.h"

namespace qlora::ui {

using namespace Qt::StringLiterals;

namespace {

const std::vector<std::string> all_linear{"all-linear"};

bool is_number(std::string_view part) {
    return !part.empty() && std::ranges::all_of(part, [](char c) { return c >= '0' && c <= '9'; });
}

// "model.layers.3.self_attn.q_proj": the stack "model.layers", the kind "self_attn.q_proj". A name without a block's
// number has no stack and is a kind of its own.
struct Place {
    std::string stack, kind;
};

Place place_of(const std::string& name) {
    for (std::size_t begin = 0; begin < name.size();) {
        const std::size_t end = std::min(name.find('.', begin), name.size());
        if (begin > 0 && end < name.size() && is_number(std::string_view(name).substr(begin, end - begin)))
            return {name.substr(0, begin - 1), name.substr(end + 1)};
        begin = end + 1;
    }
    return {{}, name};
}

// "self_attn.q_proj": "q_proj", "self_attn.q_proj"; none that begins with a number.
std::vector<std::string> endings(const std::string& kind) {
    std::vector<std::string> endings;
    for (std::size_t end = kind.size(); end > 0;) {
        const std::size_t dot = kind.rfind('.', end - 1);
        const std::size_t begin = dot == std::string::npos ? 0 : dot + 1;
        if (!is_number(std::string_view(kind).substr(begin, end - begin))) endings.push_back(kind.substr(begin));
        end = dot == std::string::npos ? 0 : dot;
    }
    return endings;
}

bool of_attention(const std::string& name) {
    std::string lower = name;
    std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
    const std::size_t module = lower.rfind('.');
    const std::string path = module == std::string::npos ? lower : lower.substr(0, module);
    return path.find("attn") != std::string::npos || path.find("attention") != std::string::npos;
}

}  // namespace

struct TargetTree::Node {
    QString name;
    Node* parent = nullptr;
    int row = 0;
    std::vector<std::unique_ptr<Node>> children;
    std::vector<std::size_t> layers;  // all beneath, or the one it is

    Node& child(const QString& wanted) {
        for (const auto& known : children)
            if (known->name == wanted) return *known;
        children.push_back(std::make_unique<Node>());
        children.back()->name = wanted;
        children.back()->parent = this;
        children.back()->row = int(children.size()) - 1;
        return *children.back();
    }
};

TargetTree::TargetTree(const std::vector<nn::LinearInfo>& linears, std::int64_t rank, QObject* parent)
    : QAbstractItemModel(parent),
      linears_(linears),
      chosen_(linears.size(), false),
      rank_(rank),
      root_(std::make_unique<Node>()) {
    for (std::size_t i = 0; i < linears_.size(); ++i) {
        const Place place = place_of(linears_[i].name);
        std::vector<Node*> path{root_.get()};
        if (!place.stack.empty()) {
            path.push_back(&path.back()->child(QString::fromStdString(place.stack)));
            path.push_back(&path.back()->child(QString::fromStdString(place.kind)));
        }
        path.push_back(&path.back()->child(QString::fromStdString(linears_[i].name)));
        for (Node* node : path) node->layers.push_back(i);
    }
}

TargetTree::~TargetTree() = default;

TargetTree::Node& TargetTree::node(const QModelIndex& index) const {
    return index.isValid() ? *static_cast<Node*>(index.internalPointer()) : *root_;
}

std::vector<std::string> TargetTree::names() const {
    std::vector<std::string> names;
    for (const auto& linear : linears_) names.push_back(linear.name);
    return names;
}

bool TargetTree::choose(const std::vector<std::string>& entries) {
    try {
        const auto selected = adapters::select_targets(names(), entries);
        const std::set<std::string> wanted(selected.begin(), selected.end());
        std::vector<bool> chosen;
        for (const auto& linear : linears_) chosen.push_back(wanted.contains(linear.name));
        set_chosen(chosen);
        return true;
    } catch (const Error&) {
        return false;
    }
}

void TargetTree::choose_attention() {
    std::vector<bool> chosen;
    for (const auto& linear : linears_) chosen.push_back(of_attention(linear.name));
    set_chosen(chosen);
}

void TargetTree::choose_none() { set_chosen(std::vector<bool>(linears_.size(), false)); }

void TargetTree::set_chosen(const std::vector<bool>& chosen) {
    if (chosen == chosen_) return;
    chosen_ = chosen;
    tell({});
    emit choice_changed();
}

void TargetTree::tell(const QModelIndex& parent) {
    const int rows = rowCount(parent);
    if (rows == 0) return;
    emit dataChanged(index(0, 0, parent), index(rows - 1, column_count - 1, parent));
    for (int row = 0; row < rows; ++row) tell(index(row, 0, parent));
}

std::vector<std::string> TargetTree::entries() const {
    const auto all = names();
    std::vector<std::string> chosen;
    for (std::size_t i = 0; i < all.size(); ++i)
        if (chosen_[i]) chosen.push_back(all[i]);
    if (chosen.empty()) return {};
    if (chosen == adapters::select_targets(all, all_linear)) return all_linear;
    const auto fits = [&](const std::string& ending) {
        for (std::size_t i = 0; i < all.size(); ++i)
            if (!chosen_[i] && (all[i] == ending || all[i].ends_with("." + ending))) return false;
        return true;
    };
    // The endings of a name hold ever more layers the shorter they are: the shortest that holds no other layer covers most.
    std::vector<std::string> entries;
    std::set<std::string> known;
    for (const std::string& name : chosen) {
        const auto shorter = endings(place_of(name).kind);
        const auto shortest = place_of(name).stack.empty() ? shorter.end() : std::ranges::find_if(shorter, fits);
        const std::string& entry = shortest == shorter.end() ? name : *shortest;
        if (known.insert(entry).second) entries.push_back(entry);
    }
    return entries;
}

std::size_t TargetTree::chosen() const { return chosen_in(*root_); }
std::int64_t TargetTree::added_parameters() const { return parameters_in(*root_); }

std::size_t TargetTree::chosen_in(const Node& node) const {
    return std::size_t(std::ranges::count_if(node.layers, [this](std::size_t i) { return chosen_[i]; }));
}

std::int64_t TargetTree::parameters_in(const Node& node) const {
    std::int64_t sum = 0;
    for (const std::size_t i : node.layers)
        if (chosen_[i]) sum += rank_ * (linears_[i].in + linears_[i].out);
    return sum;
}

QString TargetTree::shape(const Node& node) const {
    if (node.layers.empty()) return {};
    const auto& first = linears_[node.layers.front()];
    const bool same = std::ranges::all_of(
        node.layers, [&](std::size_t i) { return linears_[i].in == first.in && linears_[i].out == first.out; });
    if (same) return u"%1 → %2"_s.arg(format::count(first.in), format::count(first.out));
    return node.parent == root_.get() ? QString() : tr("differs");
}

QModelIndex TargetTree::index(int row, int column, const QModelIndex& parent) const {
    if (!hasIndex(row, column, parent)) return {};
    return createIndex(row, column, node(parent).children[std::size_t(row)].get());
}

QModelIndex TargetTree::parent(const QModelIndex& child) const {
    if (!child.isValid()) return {};
    Node* parent = node(child).parent;
    return parent == root_.get() ? QModelIndex() : createIndex(parent->row, 0, parent);
}

int TargetTree::rowCount(const QModelIndex& parent) const {
    return parent.column() > 0 ? 0 : int(node(parent).children.size());
}

int TargetTree::columnCount(const QModelIndex&) const { return column_count; }

QVariant TargetTree::data(const QModelIndex& index, int role) const {
    if (!checkIndex(index, CheckIndexOption::IndexIsValid)) return {};
    const Node& node = this->node(index);
    const std::size_t chosen = chosen_in(node), all = node.layers.size();
    const bool leaf = node.children.empty();
    const bool stack = !leaf && node.parent == root_.get();
    const QString added = chosen > 0 ? u"+"_s + format::count(parameters_in(node)) : QString();
    switch (role) {
        case Qt::DisplayRole:
            if (index.column() == shape_column) return shape(node);
            if (index.column() == parameters_column) return added;
            if (leaf) return node.name;
            return stack ? tr("%1: %2 layers").arg(node.name, format::count(std::int64_t(all)))
                         : u"%1 ×%2"_s.arg(node.name).arg(all);
        case Qt::CheckStateRole:
            if (index.column() != layer_column) return {};
            return chosen == 0 ? Qt::Unchecked : chosen == all ? Qt::Checked : Qt::PartiallyChecked;
        case Qt::TextAlignmentRole:
            return index.column() == layer_column ? QVariant() : QVariant(Qt::AlignRight | Qt::AlignVCenter);
        case Qt::AccessibleTextRole:
            if (index.column() != layer_column) return data(index, Qt::DisplayRole);
            return tr("%1, %2 of %3 layers chosen, adds %4 parameters")
                .arg(node.name)
                .arg(chosen)
                .arg(all)
                .arg(format::count(parameters_in(node)));
        case Qt::ToolTipRole: return leaf ? QVariant(node.name) : tr("%1 of %2 chosen").arg(chosen).arg(all);
        case NameRole: return leaf ? node.name : QString();
        case ParametersRole: return qint64(parameters_in(node));
        default: return {};
    }
}

bool TargetTree::setData(const QModelIndex& index, const QVariant& value, int role) {
    if (role != Qt::CheckStateRole || !checkIndex(index, CheckIndexOption::IndexIsValid) ||
        index.column() != layer_column)
        return false;
    std::vector<bool> chosen = chosen_;
    for (const std::size_t i : node(index).layers) chosen[i] = value.toInt() != Qt::Unchecked;
    set_chosen(chosen);
    return true;
}

QVariant TargetTree::headerData(int section, Qt::Orientation orientation, int role) const {
    if (orientation != Qt::Horizontal || section < 0 || section >= column_count) return {};
    if (role == Qt::TextAlignmentRole)
        return section == layer_column ? int(Qt::AlignLeft | Qt::AlignVCenter) : int(Qt::AlignRight | Qt::AlignVCenter);
    if (role == Qt::ToolTipRole && section == parameters_column) return tr("Parameters of the adapters, at rank %1").arg(rank_);
    if (role != Qt::DisplayRole) return {};
    return section == layer_column ? tr("Layer") : section == shape_column ? tr("In → out") : tr("Adds parameters");
}

Qt::ItemFlags TargetTree::flags(const QModelIndex& index) const {
    Qt::ItemFlags flags = QAbstractItemModel::flags(index);
    if (!index.isValid()) return flags;
    if (index.column() == layer_column) flags |= Qt::ItemIsUserCheckable;
    if (node(index).children.empty()) flags |= Qt::ItemNeverHasChildren;
    return flags;
}

}  // namespace qlora::ui
