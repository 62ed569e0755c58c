/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reload.h - SIGHUP: reads the configuration anew and applies what a running daemon can change.
 *
 * All or nothing: a configuration that is wrong anywhere changes nothing. One line in the log for
 * each key whose value is another one now.
 */
#pragma once

struct daemon;

void daemon_reload(struct daemon *daemon);
