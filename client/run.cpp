#include <unistd.h>

#include "client/afterwards.h"
#include "client/create.h"
#include "client/exec.h"
#include "client/format.h"

namespace hutch::client {
namespace {

struct RunOptions {
    CreateOptions box;
    ExecOptions command;
    bool remove = false;
};

/// Deletes the box of that id when we end, however we end.
Result<Afterwards> remover(const Api& api) {
    return Afterwards::start([&api](const std::string& id) {
        const auto removed = api.call("DELETE", box_target(id));
        if (removed.ok() || removed.error().kind == ErrorKind::kNotFound) return 0;
        complain("box " + id + " is still there: " + removed.error().message);
        return kExecFailed;
    });
}

Result<int> run_and_remove(const Api& api, const Program& program, RunOptions options) {
    Afterwards afterwards = TRY(remover(api));
    {
        const HeldSignals held;  // who interrupts us now would leave a box that nobody knows of
        options.command.box = text_of(TRY(create_box(api, options.box)), "id");
        TRY(afterwards.tell(options.command.box));
    }
    auto ended = exec_in_box(api, program.command, options.command);
    const int removed = TRY(afterwards.finish());
    if (removed != 0) return ended.ok() ? Result<int>(removed) : ended;
    return ended;
}

Result<int> run_and_keep(const Api& api, const Program& program, RunOptions options) {
    const Json box = TRY(create_box(api, options.box));
    options.command.box = text_of(box, "id");
    if (options.command.detach) {
        const std::string run = TRY(start_in_box(api, program.command, options.command));
        return show(printable(name_of(box) + " " + run) + "\n");
    }
    if (options.box.name.empty()) {
        complain("this is box " + options.command.box + "; `hutch rm " + options.command.box + "` deletes it");
    }
    return exec_in_box(api, program.command, options.command);
}

Result<int> run_command(Program& program, RunOptions options) {
    program.failure = kExecFailed;
    if (program.command.empty() && !options.command.detach && isatty(STDIN_FILENO) == 1) {
        options.command.interactive = options.command.terminal = true;
    }
    const bool shell = options.command.interactive && options.command.terminal;
    if (program.command.empty() && !shell)
        return invalid("a COMMAND to run on " + options.box.image +
                       " is missing; an image's entrypoint is not run by itself (see hutch image inspect)");
    const Api api = TRY(program.api());
    return options.remove ? run_and_remove(api, program, std::move(options))
                          : run_and_keep(api, program, std::move(options));
}

}  // namespace

void add_run_command(CLI::App& app, Program& program) {
    const auto options = std::make_shared<RunOptions>();
    CLI::App* command = add_command(app, "run",
                                    "Make a box, and run a command in it\n\nIts output and exit code become those of "
                                    "hutch; 125 means that hutch itself failed.\nWithout a command, on a terminal, it "
                                    "is a shell. The box stays, unless --rm is said.",
                                    "hutch run --rm node -- node -e 'console.log(6 * 7)'\n"
                                    "  hutch run --name web --env PORT=3000 node -- npm start");
    command
        ->add_option("IMAGE", options->box.image,
                     "Image to start from (see `hutch image ls`),\nor one of a registry, HOST/REPOSITORY:TAG")
        ->required();
    CLI::Option* remove =
        command->add_flag("--rm", options->remove, "Delete the box at the end, also when interrupted");
    command->add_option("--name", options->box.name, "What to call the box, unique on the host")->type_name("NAME");
    add_exec_options(*command, options->command);
    remove->excludes("--detach");
    add_create_options(*command, options->box);
    run_on(command, program, options, run_command);
}

}  // namespace hutch::client
