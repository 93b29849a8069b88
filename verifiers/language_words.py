"""The frequent words of languages that share a script: what tells most sentences of reasoning apart without a detector.

Data only. In: nothing. Out: per language the words that hold its sentences together, with those of mathematical prose
where they help. A word may stand in several languages; what that is worth is for `verifiers.language_detect` to say.
They are no dictionaries: a sentence without any of them is not foreign, only undecided.
"""

from __future__ import annotations

FREQUENT: dict[str, frozenset[str]] = {
    language: frozenset(word for word in words.split() if len(word) > 1 or not word.isascii())
    for language, words in {
        "en": """a about above add added adds after again all already also although altogether always am an and
            another answer any are as asked at away be because been before being below between both bought
            brother but by calculate can cannot check choose compute cost costs could day days did difference
            digit digits divide do does doing during each easily eat eats either else equal equals equation even
            every exactly example expression fact factor father find first five following follows for four
            friends from full function get gets give given gives go goes got greater had half has have he hello
            hence her here hi him his hour hours how however i if in integer into is it its itself just know
            large larger last least left less let let's like list long look made make makes many means minutes
            more most much multiply must my need needs next no not note notice now number numbers of off on once
            one only or order original other our out over pay per please points possible pound price prime
            problem product quarter remainder remaining rest result root same say school second see sells set
            she should show side sides simply since six small so solution solve some spend spends square start
            step still string subtract such sum take takes ten than that that's the their them then there
            therefore these they thing think third this those three through thus time times to together too
            total twice two under until up us use used using value values very want was way ways we week well
            were what when where whether which while who whole whose why will with without words work works
            would year years you your""",
        "fr": """afin ainsi aller alors après assez attends au aucun aussi autant autre autres aux avant avec
            avoir avons beaucoup ben bien car ce ceci cela celle celui ces cet cette ceux chaque chercher chez
            combien comme comment d'abord d'où dans de depuis des deux deuxième divise doit donc donne dont du
            elle elles en encore enfin ensuite entre est et exemple expression fait faut heures il ils jamais je
            jusqu'à la laquelle le lequel les leur leurs lorsque lui là mais met minutes moins même ne ni nombre
            nombres non nos notre nous obtenons obtient on ont or ou où par parce partie pas peut plus plusieurs
            pour pourquoi premier première problème puis puisque quand que quel quelle quelque qui quoi reste
            réponse sa sans se second selon sera ses seulement si soit solution somme son sont sous sur ta
            tandis tel total toujours tous tout toute toutes trois très un une vers voici voilà vous à égal
            égale équation étant être""",
        "de": """aber alle allem allen aller alles als also am an andere anderen antwort auch auf aus bei beide
            beiden beim beispiel bis bleiben bleibt da dabei dadurch daher damit dann daraus das dass dazu dem
            den denn der deren des deshalb dessen die dies diese diesem diesen dieser dieses doch drei durch ein
            eine einem einen einer eines einmal er ergibt erhalten erste ersten es etwa etwas für ganz gegen
            gerade gibt gilt gleich gleichung haben hat hatte hier ich ihm ihn ihr ihre ihrem ihren im immer in
            indem insgesamt ist ja jede jedem jeden jeder jedes jedoch jetzt kann kein keine keinen können
            lösung man mehr mein mit muss müssen nach nicht nichts noch nun nur ob oder ohne schon sehr sei sein
            seine seinen seiner seite seiten sich sie sind so sodass sogar somit summe um und uns unser unter
            viel viele vom von vor wann war waren warum was weil weiter welche welcher wenn wer werden wie
            wieder wieviele wir wird wo wurde zahl zahlen zu zuerst zum zur zwei zweite zweiten zwischen über""",
        "es": """a además ahora al algo alguna algún ambos antes aquí así aunque cada casi como con cual
            cualquier cuando cuatro cuál cuánto cuántos da de debe decir del desde después donde dos e el ella
            ellas ellos en encontrar entonces entre era es esa ese eso espera esta estas este esto estos está
            están fue ha hace hacia han hasta hay igual la las le les lo los luego mayor me menor menos mi
            mientras misma mismo mucho muy más nada ni no nos nosotros número números o obtenemos otra otro
            otros par para paso pero poco podemos por porque primera primero problema puede pueden pues que
            queda quedan quién qué respuesta resto se sea segunda segundo según ser si sido siempre siguiente
            sin sobre solo solución son su suma sus sí tal también tampoco tan tanto te tenemos tener tiene
            tienen toda todas todo todos total tres tu un una uno unos valor valores veces vemos vez y ya yo él""",
        "it": """a adesso ai al alcuni all'inizio alla alle allo allora altra altri altro anche ancora c'è che
            chi ci ciascun ciascuno cioè ciò come con cosa così cui da dai dal dalla dalle dei del dell della
            delle dello di dobbiamo dopo dove due dunque e ed egli entrambi era essere fa fino fra già gli ha
            hanno ho i il in infatti inoltre invece io l'altro la le lei lo loro lui ma mai meno mentre mi modo
            molto ne nei nel nella nelle nello nessun no noi non nostro numeri numero o ogni ora otteniamo passo
            per perché perciò però più po' poi poiché possiamo prima primo problema può quale quali quando
            quanti quanto quattro quella quelle quelli quello questa queste questi questo qui quindi resto
            rimane rimangono risposta sarebbe se seconda secondo sei sempre senza si sia siamo solo soluzione
            somma sono sta stesso su sua sue sugli sul sulla suo suoi totale tra tre tutte tutti tutto uguale un
            un'altra una uno valore valori vediamo è""",
        "pt": """a acho agora ainda algum alguma além ambos antes ao aos apenas aquele aquilo as assim até cada
            com como cujo da das de dela dele deles depois dessa desse deste deve do dois dos duas e ela elas
            ele eles em enquanto entre então era essa esse esta este está estão eu existe fica foi há igual isso
            isto já lhe lo logo maior mais mas me meio menor menos mesma mesmo muito na nas nem nenhum no nos
            nossa nosso não nós número números o obtemos onde os ou outra outro par para passo pela pelas pelo
            pelos pode podem podemos pois por porque porquê portanto pouco primeira primeiro problema quais qual
            qualquer quando quanto quantos quatro que quem resposta restam resto se segunda segundo seja sem
            sempre ser seria será seu seus si sob sobre solução soma sua suas são só também tem temos ter teria
            toda todas todo todos total três tudo tão têm um uma umas uns valor valores vamos vemos vez vezes
            você é""",
        "nl": """aan al alle alleen als ander andere antwoord bij blijft daar daarna dan dat de deze die dit
            doet door drie dus echter een eens eerst eerste elk elke en er geeft geen gegeven gelijk getal
            getallen had hadden heb hebben heeft hem het hier hij hoe hoeveel hun iets ik in is ja je kan
            krijgen kunnen laten maar meer men met mijn minder minuten moet moeten na naar niet niets nog nu of
            om omdat onder ons ook op oplossing over per samen som tot totaal tussen twee tweede uit van veel
            vergelijking vier volgende voor voorbeeld vraag waar wanneer want waren was wat we weer welke wie
            wij worden wordt zal ze zich zijn zo zoals zonder zou zullen""",
        "sv": """alla allt alltså andra att av bara blir både de dem den denna dess det detta där därför då
            efter eftersom ekvation eller en endast ett finns fler flera från får för före först första genom
            ger ha hade han har hela hon hur här i ibland inga ingen inte ju kan kommer kvar lika lösning man
            med mellan men mer mindre minst minuter mot mycket måste ned nu när nästa någon något några och
            också om oss på samma sedan sig sin ska skulle summan svar svaret så tal talet till timmar totalt
            tre två under upp ur utan var vara varför varje vi vid vilka vilken vilket är åt över""",
        "no": """alle alltid altså andre at av bare begge ble blir da de dem den denne der deres derfor det
            dette disse du eller en enn er et etter fikk finner finnes flere for fordi fra før først gir går ha
            hadde han har hele her hun hva hver hvert hvis hvor hvordan hvorfor i igjen ikke ingen inn kan kun
            lik like man med mellem mellom men mer mere mindre mye må noen nogle nu nå når og også om opp oss
            over på samme sammen selv siden sig skal slik som summen så tal tall tallet til to tre under ut uten
            var ved vi vil være været""",
        "pl": """a aby albo ale ani bardzo bez bo by być był była było będzie ci co czy czyli czyż dla dlatego
            do drugi drugie dwa dwie gdy gdyż gdzie go i ich ile im inny jak jaka jaki jakie jako je jeden
            jednak jego jej jest jeszcze jeśli jeżeli już każda każde każdy kiedy kto która które którego której
            który liczb liczba liczby liczbę lub ma mamy może możemy można mu musi my na nad nam nas nasz
            natomiast nic nich nie niż o oba obie obu od odpowiedź ona one oni oraz otrzymujemy pierwszy po pod
            ponieważ potem przed przez przy przykład rozwiązanie równa równanie równe sam się skoro suma są ta
            tak także tam te tego tej ten teraz też to tu tych tylko tym w więc więcej wszystkie wszystko wtedy
            z za zatem zawsze ze zero że""",
        "cs": """a aby ale ani ano asi až bez bude by byl byla bylo být co další dané dva dvě dále jak jako je
            jeden jedna jedno jeho jejich jen jestliže ještě již jsem jsme jsou k každý kde kdy když ke kolik
            která které který kteří mají mezi musí má máme může můžeme na nad ne nebo nebyl není než nám náš o
            ob oba obě od po pod pokud pomocí potom pouze pro proto protože první před přes při rovna rovno s se
            si součet tak také takže tato tedy ten tento to toho tohoto tom tyto tři u už v ve více však vše
            všechny vždy z za ze čísla číslo že""",
        "ro": """a această acest aceste acum ai al ale am apoi ar are astfel au ca care ce cea cel cele cu cum
            când cât câte câți că dacă dar de deci deoarece din doar doi două după ea ei el este eu fi fie
            fiecare fost iar la le lor lui mai mult noi nu numere numerele număr numărul o ori pe pentru prima
            primul prin până sa sau se suma sunt să toate tot trei un una unde unei unui vom în încă între și""",
        "hu": """a akkor amely ami az azok azonban azt be csak egy egyenlő el első ez ezek ezt ezzel ezért fel
            ha hogy hány három is kell ki két között le lehet lesz majd meg mely mennyi mert mi minden mint most
            már még nem pedig szám számok számot számú tehát több után vagy van vannak volt által és így összeg""",
        "tr": """ama ancak bir bu bunu bunun böylece da daha de değil en eğer gibi göre halde hem her hiç iki
            ile ise için kadar kaç ki mi mı nasıl ne neden o olan olarak olduğu olduğunu olsun olur sayı sayılar
            sayının sayısı sonra toplam toplamı tüm var ve veya ya yani yok zaman çok çünkü önce üç şimdi şu""",
        "vi": """ba bao bằng cho chúng các còn có cũng của do hai hay hoặc hơn khi không là lại mà mỗi một nhiêu
            nhiều như những này nên nếu phải ra sau sẽ số ta thì tiên trong trên trước tôi tổng từ và vì vậy với
            đã đó được đầu đến để ở""",
        "id": """adalah akan anda antara apa atau bagi bahwa banyak berapa bilangan bisa dalam dan dapat dari
            dengan di dia dua hanya harus hasil ini itu jadi jika juga jumlah kali kami karena ke kemudian
            ketika kita lain lalu lebih maka masih mereka oleh orang pada pertama saat saja sama sampai satu
            sebuah sehingga semua seorang seperti setiap sudah tapi telah tetapi tidak tiga untuk yang""",
        "fi": """ei eivät että ja joka jos jossa josta jotka kaikki kaksi kanssa kolme koska kuin kuinka luku
            luvun luvut me mikä missä monta mukaan mutta myös ne niin nyt oli olla on ovat saadaan se sekä sen
            siis siitä sillä sitten summa tai tämä tämän tässä tästä vain voidaan voimme yhtä yksi""",
        "ru": """а без больше бы был была были было быть в вам вас ведь весь во возьмём вот все всегда всего
            всех всё второе второй вы вычтем где да давайте два две делится для до его ее если есть ещё её же за
            задача затем здесь значит и из или им их к каждая каждое каждый как какой когда которая которое
            которые который которых кроме кто ли лишь любой между меньше мне много может можно мы на надо найдём
            нам например нас не него нельзя нет нею ни ним них но ноль ну нужно о об оба обе один однако она они
            оно от ответ очень первое первый по под пока получаем получается получим поэтому прежде при про
            пусть равен равна равно равны раз разделим решение с свой себе себя сколько следовательно сложим
            сначала снова со сумма так также такой там те тем теперь то того тоже той только том тот три тут ты
            у уже умножим хотя чего чем через чисел числа число числу что чтобы эта эти это этого этом этот я""",
        "uk": """а але без би був була були було бути більша більше в вам вас весь вже ви вона вони воно все
            всього всі від відповідь він га два де для до додамо дорівнює друге другий ділиться ж з за завжди
            задача зараз звідси зі й його йому кожен кожна кожне коли котрий кількість лише мають має мене менше
            ми може можна між на навіть над нам нас не нехай ним них ну нього ні о обидва обидві один однак
            оскільки отже отримаємо отримуємо пари перед перш перше перший по поділимо помножимо потрібно потім
            при про проте під після раз розв'язок рівні саме свій себе скільки сначала собі спершу спочатку сума
            та так така таке такий також там те тепер ти тим тих то того тоді той тому треба три тут у хоча це
            цей цього цьому цю ця ці через чи чисел числа число числом числу ще що щоб я як яка яке який яких
            якщо які є і із їх їхній її""",
        "bg": """а ако ала без беше би било в вече ви все всеки всички всичко всяко във ги го два две до докато
            дори е един една едно ето за затова защото и из или им има й как каква какво като когато което които
            който колко която към ли ме между ми много може можем му на над най нас не него нека нещо ни ние но
            някои обаче от още по под после при първо с са само се сега след следователно сме със също така
            такъв там те тези то това тогава този той том тук тъй тя у че числа число числото ще я""",
        "sr": """а ако али без би била били било био бити број бројеви већ више где да два две до док за затим
            зато и из или их кад када како као колико која које који кроз ли мања мањи ми може можемо мора на
            над након нам не него ни није но о ова овај ово од онда по под после потом пре при са сада сам само
            сваки све се следи смо су та тада тако такође тај те то три у увек је један једна једно јер још""",
        "ar": """أحد أخرى أما أن أنه أنها أو أولا أولاً أي أيضا أيضاً إذا إذن إلا إلى إما إن إنه الآن الأعداد
            الأول الأولى التالية التي الثاني الثانية الجواب الحل الذي الذين الطرفين العدد المعادلة الناتج بأن
            بعد بعض بما بين تكون تلك ثلاثة ثم جميع حتى حسب حيث دائما دائماً دون ذلك سوف سيكون عدد عددين على عليه
            عليها عن عند عندئذ عندما غير فإن فإنه فقط في فيه فيها قبل قد كان كانت كل كلا كم كما كيف لأن لأنه لا
            لدينا لذا لذلك لكل لكن لم لن له لها لو ليس ليست ما ماذا مجموع مرة مع معادلة من منه منها نجد نحصل
            نستنتج هذا هذه هل هنا هناك هو هي وأن وإذا والآن وبالتالي وكل ولا ولكن وليس وما ومن وهذا وهذه وهو وهي
            يجب يساوي يكون يمكن يمكننا""",
        "fa": """آن آنها آنچه آیا ابتدا از است اعداد اما انجام او اول اولین اکنون اگر ای این اینکه با باز باشد
            باقی باید بر برابر برابرند برای بسیار بعد بنابراین به بود بودن بیشتر بیشتری بین تا تنها جمع جواب
            حاصل حالا خواهد خود داده دارد دارند داریم در درست دست دو دوم دیگر را روی زیرا سه سپس شد شده شماره
            شود صفر طرف عدد عددها عددی فرض فقط قبل ما مانند مثال مجموع معادله مورد می‌آید می‌بینیم می‌توان
            می‌توانیم می‌دهد می‌دهیم می‌رسیم می‌شود می‌کند می‌کنیم می‌گردیم نتیجه نیز نیست هر هست هستند هم همان
            همه همین هنوز و وجود وقتی ولی پاسخ پس پیدا چند چه چهار چون کرد کردن کل کم کمتر کند کنند کنید کنیم که
            گرفت یا یعنی یک""",
        "ur": """آپ اب اس اسے ان انہیں اور اگر ایک بھی بہت تو تک تھا تھی تھے تین جا جائے جب جو جیسے حاصل دو
            دونوں ذریعے رہا رہی رہے ساتھ سب سکتا سکتی سکتے سے صرف طرح عدد لیکن لیے مجموعہ میں نہیں نے والا والی
            والے وقت وہ پر پہلے کا کتنے کر کرتا کرتے کرنا کرنے کریں کسی کو کوئی کہ کی کیا کیونکہ کے گا گی گیا گے
            ہر ہم ہمیں ہو ہوئے ہوتا ہوتی ہوتے ہوں ہی ہیں ہے یا یعنی یہ یہاں""",
        "hi": """अगर अतः अब आप इन इस इसका इसके इसलिए इसे उन उस उसके उसे एक और कम कर करके करता करते करना करने
            करें का कि कितने किया किसी की कुछ कुल के को कोई क्या क्योंकि गया चार जब जाता जो तक तब तीन तो था थी
            थे दिया दो दोनों नहीं ने पर पहले प्रत्येक फिर बाद भी में यदि यह यहाँ ये योग रहा रहे लिए ले लेकिन वह
            वाले वे संख्या सकता सकते सभी साथ से हम हमें हर ही हुआ हूँ है हैं हो होगा होता होती होते""",
        "mr": """अशा असते असा असे असेल आणि आता आपण आहे आहेत एक करा करू करून काय कारण काही किंवा किती केला केली
            केले च चा ची चे जर जी जे जो झाला झाली झाले तर तरी ती तीन ते तेव्हा तो त्या त्याचा त्याची त्याच्या
            दोन दोन्ही नंतर नाही नाहीत पण परंतु प्रत्येक फक्त बेरीज मग मध्ये मला म्हणजे म्हणून या याचा येते व वर
            संख्या सर्व साठी ही हे होईल होते होतो""",
        "ne": """अथवा अनि अब अर्को आफ्नो उसले एउटा एक कति किन किनभने कुनै कुल के को गरी गरेर गर्छ गर्छौं गर्न
            गर्ने छ छन् छैन जब जम्मा जुन त तथा तब तर तिनीहरू तीन त्यस त्यसैले त्यो थियो दुई दुवै देखि नै पछि पनि
            प्रत्येक बाट भए भएको भने भन्दा मा मात्र यदि यस यसको यी यो र रहेको लाई लागि ले सँग संख्या सबै हामी
            हामीले हुन हुने हुन्छ हो होइन""",
    }.items()
}
"""Frequent words by language (BCP 47), in lower case, without those of one letter a to z: so are quantities called."""

_RUSSIAN = set("абвгдежзийклмнопрстуфхцчшщьюя")
_ARABIC = set("ابتثجحخدذرزسشصضطظعغفقلمنهوئءآ")
ACCENTED: dict[str, set[str]] = {
    "en": set(),
    "fr": set("àâæçéèêëîïôœùûüÿ"),
    "de": set("äöüß"),
    "es": set("áéíóúüñ"),
    "it": set("àèéìíîòóù"),
    "pt": set("áâãàçéêíóôõúü"),
    "nl": set("éëïóöüèê"),
    "sv": set("åäöé"),
    "no": set("æøåéòôäö"),
    "pl": set("ąćęłńóśźż"),
    "cs": set("áčďéěíňóřšťúůýž"),
    "ro": set("ăâîșşțţ"),
    "hu": set("áéíóöőúüű"),
    "tr": set("çğıöşüâîû"),
    "fi": set("åäö"),
    "ru": _RUSSIAN | set("ёъыэ"),
    "uk": _RUSSIAN | set("ґєії"),
    "bg": _RUSSIAN | set("ъ"),
    "sr": _RUSSIAN - set("йщьюя") | set("ђјљњћџ"),
    "ar": _ARABIC | set("أإؤةكىي"),
    "fa": _ARABIC | set("پچژگکیأؤيك"),
    "ur": _ARABIC | set("پچژگکیٹڈڑںےہھۓأؤ"),
}
"""Letters beyond a to z, or of another script, by language. A single word with a strange letter may be a name."""

EXCLAIMED = frozenset(
    """actually alright anyway but finally first good great hmm hold idea let maybe next no now oh ok okay
    perfect please right similarly so sorry sure then thus wait well yeah yes""".split()
)
"""English words that open a thought: never names, though they stand alone and begin with a capital."""

NEUTRAL = frozenset(
    """abs am ans api app arccos arcsin arctan bfs ceil cm com cos cosh cot csc css def deg det dfs dm dna dp
    email eq eur exp floor gb gcd ghz html http https hz int iphone json kb kg khz km km/h kmh kw kwh lcm len lg
    lim ln log max mb mg mhz min ml mm mod mph num ok org pdf ph pi pm rad sec sin sinh sql sqrt str tan tanh tb
    usd vs wifi www""".split()
)
"""Written the same in every language: units, functions, abbreviations."""
