#!/bin/bash
# A program that draws knows the terminals people sit at.
# create: --image debian
# want: xterm-256color 256
# want: screen-256color 256
# want: tmux-256color 256
# want: rxvt-unicode-256color 256
# want: alacritty 256
# want: foot 256
# want: xterm-kitty 256
# want: vt100 -1
# want: konsole-256color 256
for term in xterm-256color screen-256color tmux-256color rxvt-unicode-256color alacritty foot xterm-kitty vt100 konsole-256color; do
    echo "$term $(tput -T $term colors 2>&1)"
done
