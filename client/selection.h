#pragma once

#include <functional>
#include <string>
#include <vector>

#include "client/program.h"

namespace hutch::client {

/// Which boxes of all are meant.
struct Selection {
    std::vector<std::string> labels;   ///< a box must have all of them
    std::vector<std::string> filters;  ///< KEY=VALUE, all of which must fit
    bool all = false;                  ///< of all customers
    [[nodiscard]] bool empty() const { return labels.empty() && filters.empty(); }
};

/// --label and --filter.
void add_selection(CLI::App& command, Selection& selection);
/// The boxes that fit, as the API tells of them; `query`: more of the call, such as "stats=1". kInvalid for a filter
/// that is none.
Result<Json> select_boxes(const Api& api, const Selection& selection, const std::string& query = "");

/// kNotFound, with the names of all that are not there.
Result<void> check_boxes(const Api& api, const std::vector<std::string>& boxes);
/// Makes a call for each. Of several, one that refuses keeps the others from nothing: its error is said with its name,
/// and the exit code is 1.
Result<int> for_each_box(const Program& program, const std::vector<std::string>& boxes,
                         const std::function<Result<void>(const std::string&)>& call);

}  // namespace hutch::client
