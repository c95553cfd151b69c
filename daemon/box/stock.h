#pragma once

#include <compare>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "daemon/box/builder.h"
#include "daemon/event.h"
#include "daemon/workers.h"

namespace hutch::daemon {

/// Boxes made ahead of need, which nobody has and no row knows: a kill of the daemon leaves them to the next start's
/// sweep. Of each kind that was asked for twice lately there are as many as recent creates found missing, of all kinds
/// together at most so many; one that nobody asked for in ten minutes has none. They are made again when half of them
/// are gone: what is asked for beside that is slower. Event loop thread only.
class Stock {
  public:
    /// What a box is made of, as far as that is known before it is asked for. Control groups do not change their
    /// parent, hence the customer.
    struct Kind {
        std::string customer;
        std::vector<std::string> layers;
        std::string size;
        auto operator<=>(const Kind&) const = default;
    };
    struct Made {
        BoxRecord record;  ///< its id, its user ids and its kind
        Prepared life;
    };
    /// Called when what stood on these layers is gone.
    using LetGo = std::function<void(const std::vector<std::string>& layers)>;

    Stock(const asio::any_io_executor& executor, Mechanisms& mechanisms, LetGo let_go);
    Stock(const Stock&) = delete;
    Stock& operator=(const Stock&) = delete;

    /// Makes at most `most` at a time, until close(); before that it makes none.
    Task<> keep(size_t most);
    /// One of this kind, if there is one. Whether or not, it was asked for, and replenish() is to be called when
    /// whoever asked has a box: to make others at that time would be in the way.
    std::optional<Made> take(const Kind& kind);
    void replenish() { changed_.cancel(); }
    /// Ends one that was taken and is of no use after all.
    void give_up(Made made);
    /// Ends those that stand on this layer; false if there is none.
    bool clear(const std::string& layer);
    [[nodiscard]] std::vector<std::string> ids() const;
    /// So many there will be of all kinds, if nobody asks for any.
    [[nodiscard]] size_t wanted() const;
    /// Those that are being ended.
    [[nodiscard]] size_t ending() const { return ending_.size(); }
    /// Ends all of them.
    Task<> close();

  private:
    struct Shelf {
        std::deque<Made> made;
        size_t wanted = 0;
        bool filling = false;  ///< until there are as many as that
        Moment asked;
    };
    using Shelves = std::map<Kind, Shelf>;

    Task<> make(Kind kind);
    Task<> end_first();
    [[nodiscard]] Shelves::iterator most_wanting();
    bool make_room(const Kind& kind);
    void empty(Shelves::iterator shelf);
    std::optional<Moment> drop_stale();
    Task<> wait(std::optional<Moment> until);
    [[nodiscard]] size_t count() const;

    Mechanisms& mechanisms_;
    LetGo let_go_;
    Shelves shelves_;
    std::deque<Made> ending_;
    std::optional<Kind> making_;  ///< under way
    size_t most_ = 0;
    asio::steady_timer changed_;  ///< cancelled when there is something to do
    bool keeping_ = false;
    bool closed_ = false;
    Event over_;
    Workers maker_{
        1};  ///< at once, not behind: init inherits the priority, and nobody could give it a better one later
};

}  // namespace hutch::daemon
