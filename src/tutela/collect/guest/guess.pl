# Weak-password test on the host itself; needs only perl and its core. The same as guess.py, which explains it.
use strict;
no warnings;

my ($SLICE, $PATIENCE) = (0.25, 10);
my %want = (seconds => 60, limit => 500, cores => 2, progress => 0, shadow => '/etc/shadow', passwd => '/etc/passwd');
my (@rules, @accounts, @host, @staff);
my ($guesses, $busy, $stopped) = (0, 0, '');
my ($first_at, $rule_at, $account_at, $at) = (0, 0, 0, 0);    # the next slice

$SIG{__DIE__} = sub { syswrite STDERR, "failed\n"; require POSIX; POSIX::_exit(3) };
$SIG{PIPE} = 'IGNORE';
exit(main());

sub orders {    # true when the orders came whole
	while (defined(my $line = <STDIN>)) {
		return 0 unless $line =~ s/\n\z//;
		my ($key, $rest) = split / /, $line, 2;
		if ($key eq 'end') { return 1 }
		elsif ($key eq 'rule') { my ($name, $most) = split / /, $rest; push @rules, [$name, $most, []] }
		elsif ($key eq 'try') { push @{ $rules[-1][2] }, ['', '', $rest] }
		elsif ($key eq 'vary') { push @{ $rules[-1][2] }, [split / /, $rest, 3] }
		else { $want{$key} = $rest }
	}
	return 0;
}

sub kind {      # the prefix of a hash's algorithm; never more of it
	my ($stored) = @_;
	return "$1\$" if $stored =~ /\A(\$[A-Za-z0-9-]{1,12})[\$,]/;
	return 'bsdi' if $stored =~ m{\A_[./0-9A-Za-z]{19}\z};
	return $stored =~ m{\A[./0-9A-Za-z]{13}\z} ? 'des' : 'other';
}

sub lines_of {
	my ($path) = @_;
	open(my $file, '<:raw', $path) or return ();
	my $text = '';
	read $file, $text, 16 << 20;
	return split /\n/, $text;
}

sub accounts {
	my (%full, %own, %known, @own, @rows);
	for my $line (lines_of($want{passwd})) {
		my @field = split /:/, $line, -1;
		next if @field < 5;
		$full{ $field[0] } = $field[4] unless exists $full{ $field[0] };
		if (length $field[1] > 1 && !exists $own{ $field[0] }) { $own{ $field[0] } = 1; push @own, [@field[0, 1]] }
	}
	@rows = map { [split /:/, $_, -1] } lines_of($want{shadow});
	$known{ $_->[0] } = 1 for @rows;
	for my $row (@rows, grep { !$known{ $_->[0] } } @own) {
		my ($name, $stored) = @$row;
		next if @$row < 2 || $name eq '' || $name =~ /\A[+-]/;
		my $word = $stored eq '' ? 'empty' : $stored =~ /\A[!*]|\A.\z/s ? 'locked' : kind($stored) eq 'other' ? 'unsupported:other' : '';
		push @accounts, { name => $name, stored => $stored, full => $full{$name}, word => $word, tried => 0, seconds => 0 };
	}
}

sub unique { my %seen; return grep { length > 1 && !$seen{$_}++ } @_ }

sub host_words {
	open(my $file, '<:raw', '/proc/sys/kernel/hostname') or return ();
	my $name = <$file>;
	chomp $name;
	my @label = split /\./, $name;
	my $plain = $label[0];
	$plain =~ s/[-_0-9]+\z//;
	return unique($label[0], $plain, defined $label[1] ? $label[1] : ());
}

sub name_words {
	my ($account) = @_;
	my $full = (split /,/, $account->{full})[0];
	$full =~ s/&/$account->{name}/g;
	my @part = grep { $_ ne '' } map { lc } split /[^A-Za-z0-9\x80-\xff]+/, $full;
	splice @part, 4 if @part > 4;
	return unique(@part) if @part < 2;
	my ($first, $last) = @part[0, -1];
	return unique(join('', @part), @part, substr($first, 0, 1) . $last, $last . substr($first, 0, 1), $last . $first);
}

sub formed {
	my ($form, $word) = @_;
	return ucfirst lc $word if $form eq 'title';
	return uc $word if $form eq 'upper';
	return scalar reverse $word if $form eq 'reversed';
	if ($form eq 'leet') { ($word = lc $word) =~ tr/aeios/@310$/ }
	return $word;
}

sub candidates {    # candidates, and where each rule's end
	my ($account) = @_;
	my %words = (user => [$account->{name}], name => [name_words($account)], host => \@host, '' => ['']);
	my (%seen, @made, @bounds);
	for my $rule (@rules) {
		my $most = @made + $rule->[1];
		$most = $want{limit} if $most > $want{limit};
		for my $item (@{ $rule->[2] }) {
			my ($source, $form, $template) = @$item;
			for my $word (@{ $words{$source} }) {
				my $guess = $template;
				if ($source ne '') { my $put = formed($form, $word); $guess =~ s/\{\}/$put/g }
				push @made, $guess if $guess ne '' && @made < $most && !$seen{$guess}++;
			}
		}
		push @bounds, scalar @made;
	}
	return (\@made, \@bounds);
}

sub keep_secret {    # PR_SET_DUMPABLE; core files are forbidden by the shell that started this
	require Config;
	my %number = (x86_64 => 157, aarch64 => 167, riscv64 => 167, loongarch64 => 167, i686 => 172, i586 => 172, i386 => 172, ppc64le => 171, powerpc64le => 171, s390x => 172, arm => 172);
	my ($machine) = $Config::Config{archname} =~ /\A([a-z0-9_]+)/;
	eval { local $SIG{__DIE__}; syscall($number{$machine}, 4, 0, 0, 0, 0) } if $number{$machine};
}

sub work {
	my ($in, $out) = @_;
	my ($cached, $guess) = (-1);
	while (defined(my $line = <$in>)) {
		my ($index, $first, $count) = split ' ', $line;
		my @began = times;
		my $account = $accounts[$index];
		($cached, $guess) = ($index, (candidates($account))[0]) if $index != $cached;
		my $found = -1;
		for my $at ($first .. $first + $count - 1) {
			my $answer = crypt($guess->[$at], $account->{stored});
			if (!defined $answer || $answer eq '' || $answer =~ /\A\*/) { $found = -2; last }
			if ($answer eq $account->{stored}) { $found = $at; last }
		}
		my @ended = times;
		syswrite $out, sprintf("%d %d %f\n", $found, $found < 0 ? $count : $found - $first + 1, $ended[0] + $ended[1] - $began[0] - $began[1]);
	}
}

sub hire {
	pipe(my $orders_out, my $orders_in);
	pipe(my $answers_out, my $answers_in);
	my $pid = fork;
	die unless defined $pid;
	if (!$pid) {
		close $_->{orders}, close $_->{answers} for @staff;
		close $orders_in;
		close $answers_out;
		work($orders_out, $answers_in);
		require POSIX;
		POSIX::_exit(0);
	}
	close $orders_out;
	close $answers_in;
	push @staff, { pid => $pid, orders => $orders_in, answers => $answers_out };
}

sub dismiss {
	my ($worker) = @_;
	kill 'KILL', $worker->{pid};
	waitpid $worker->{pid}, 0;
	@staff = grep { $_ != $worker } @staff;
}

sub cpu_of {    # seconds; proc(5), a hundredth each
	my ($worker) = @_;
	open(my $file, '<:raw', "/proc/$worker->{pid}/stat") or die;
	read $file, my $text, 4096;
	$text =~ s/.*\)//s;
	my @field = split ' ', $text;
	return ($field[11] + $field[12]) / 100;
}

sub spent_cpu { my @used = times; return $used[0] + $used[1] + $used[2] + $used[3] }

sub next_slice {    # one candidate each, to learn what it costs, then rule by rule over all accounts; -1: nothing until an answer comes
	while ($first_at < @accounts) {
		return ($first_at++, 0, 1) if $accounts[$first_at]{word} eq '';
		$first_at++;
	}
	for (; $rule_at < @rules; $rule_at++, $account_at = 0) {
		for (; $account_at < @accounts; $account_at++, $at = 0) {
			my $account = $accounts[$account_at];
			next if $account->{word} ne '';
			my $begin = $rule_at ? $account->{bounds}[$rule_at - 1] : 1;
			$at = $begin if $at < $begin;
			my $left = $account->{bounds}[$rule_at] - $at;
			next if $left < 1;
			return (-1) unless $account->{seconds};
			my $count = int($SLICE / $account->{seconds});
			$count = $count < 1 ? 1 : $count > 64 ? 64 : $count;
			$count = $left if $count > $left;
			my @job = ($account_at, $at, $count);
			$at += $count;
			return @job;
		}
	}
	return;
}

sub assign {
	my ($worker) = @_;
	my $flying = 0;
	for my $other (grep { $_->{account} } @staff) {
		my $used = cpu_of($other) - $other->{before};
		$flying += $used > $other->{expected} ? $used : $other->{expected};
	}
	if (spent_cpu() + $busy + $flying + $SLICE > $want{seconds}) { $stopped = 'budget'; return 0 }
	my @job = next_slice() or return 0;
	return 1 if $job[0] < 0;
	my $account = $accounts[$job[0]];
	@$worker{qw(account before)} = ($account, cpu_of($worker));
	$worker->{expected} = ($account->{seconds} || $SLICE) * $job[2];
	syswrite $worker->{orders}, "@job\n";
	return 1;
}

sub give_up {
	my ($worker) = @_;
	$worker->{account}{word} = 'incomplete';
	dismiss($worker);
	hire();
}

sub receive {
	my ($worker) = @_;
	my $answer = '';
	sysread $worker->{answers}, $answer, 200;
	my ($found, $tried, $used) = split ' ', $answer;
	return give_up($worker) unless defined $used;
	my $account = delete $worker->{account};
	$busy += $used;
	$account->{seconds} = $used / $tried || 1e-6;
	if ($found == -2) { $account->{word} = 'unsupported:' . kind($account->{stored}); return }
	$account->{tried} += $tried;
	$guesses += $tried;
	return if $found < 0;
	for my $rule (0 .. $#rules) {
		if ($found < $account->{bounds}[$rule]) { $account->{word} = $rules[$rule][0]; last }
	}
}

sub main {
	return 2 unless orders();
	keep_secret();
	eval { local $SIG{__DIE__}; setpriority(0, 0, 10) };
	accounts();
	@host = host_words();
	for (@accounts) { $_->{bounds} = (candidates($_))[1] if $_->{word} eq '' }
	my $cores = grep { /\Aprocessor\s*:/ } lines_of('/proc/cpuinfo');
	$cores = $want{cores} if $cores < 1 || $cores > $want{cores};
	hire() for 1 .. ($cores || 1);
	my ($more, $told, $began) = (1, time, time);
	while (1) {
		for my $worker (@staff) { $more = assign($worker) if $more && !$worker->{account} }
		my @at_work = grep { $_->{account} } @staff;
		last unless @at_work;
		my $bits = '';
		vec($bits, $_, 1) = 1 for 0, map { fileno $_->{answers} } @at_work;
		select($bits, undef, undef, 1) > 0 or $bits = '';
		if (vec($bits, 0, 1)) { $stopped = 'abandoned'; last }
		if (time - $began > 3 * $want{seconds}) { $stopped = 'time'; last }
		for my $worker (@at_work) {
			if (vec($bits, fileno $worker->{answers}, 1)) { receive($worker) }
			elsif (cpu_of($worker) - $worker->{before} > $PATIENCE) { give_up($worker) }
		}
		if ($want{progress} && time > $told) {
			$told = time;
			my $left = 0;
			$left += $_->{bounds}[-1] - $_->{tried} for grep { $_->{word} eq '' } @accounts;
			syswrite STDERR, sprintf("progress %d/%d\n", $guesses, $guesses + $left);
		}
	}
	dismiss($staff[0]) while @staff;
	my $rules = @rules;
	for my $account (grep { $_->{word} eq '' } @accounts) {
		my $whole = grep { $_ <= $account->{tried} } @{ $account->{bounds} };
		$rules = $whole if $whole < $rules;
		$account->{word} = $account->{tried} >= $account->{bounds}[-1] ? 'none' : 'incomplete';
	}
	my $said = sprintf "rules %d\ncandidates %d\ncpu %.1f\n", $rules, $guesses, spent_cpu();
	for my $account (@accounts) {
		my $name = substr $account->{name}, 0, 256;
		$name =~ s/([^A-Za-z0-9_.\$\@-])/sprintf '\\x%02x', ord $1/ge;
		$said .= "account $name $account->{word}\n";
	}
	$said .= "stopped $stopped\n" if $stopped ne '';
	$said .= "end\n";
	while ($said ne '') {
		my $written = syswrite STDOUT, $said;
		last unless $written;
		substr($said, 0, $written) = '';
	}
	return 0;
}
