/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/detach.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/os.h"
#include "shared/sys.h"

/* Until a byte says that the service is ready; else it is gone, and has said why. */
static _Noreturn void wait_ready(int pipe)
{
	char byte;
	ssize_t n;

	do {
		n = read(pipe, &byte, 1);
	} while (os_result(n) == -EINTR);
	_exit(n == 1 ? EXIT_SUCCESS : EXIT_FAILURE);
}

int detach_begin(int *ret_pipe)
{
	int ends[2], r, status;
	pid_t pid;

	r = os_result(pipe2(ends, O_CLOEXEC));
	if (r < 0)
		return r;
	pid = fork();
	if (pid < 0) {
		r = os_result(pid);
		hak_sys_close(ends[0]);
		hak_sys_close(ends[1]);
		return r;
	}
	if (pid > 0) {
		hak_sys_close(ends[1]);
		(void)waitpid(pid, &status, 0);
		wait_ready(ends[0]);
	}
	hak_sys_close(ends[0]);
	(void)setsid();
	pid = fork(); /* no session leader: it can't get a terminal by opening one */
	if (pid)
		_exit(pid < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
	(void)chdir("/");
	*ret_pipe = ends[1];
	return 0;
}

void detach_ready(int pipe)
{
	int null = os_result(open("/dev/null", O_RDWR | O_CLOEXEC));

	log_to_syslog();
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO && null >= 0; fd++)
		(void)dup2(null, fd);
	hak_sys_close(null);
	hak_sys_write(pipe, "", 1);
	hak_sys_close(pipe);
}
